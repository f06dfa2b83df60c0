-- Finds which prototype holds the slot of a product at a provider.
SELECT mockup_id FROM protokeep_slots
WHERE workspace_id = :workspace_id AND product_id = :product_id AND provider = :provider
