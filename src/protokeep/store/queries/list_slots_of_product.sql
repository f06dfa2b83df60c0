-- Lists the current prototypes of a product, one for each app builder.
SELECT mockup_id FROM protokeep_slots WHERE workspace_id = :workspace_id AND product_id = :product_id
