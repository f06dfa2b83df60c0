-- Takes the slot of a product at a provider. No row: the slot is taken.
INSERT INTO protokeep_slots (workspace_id, product_id, provider, mockup_id, updated_at)
VALUES (:workspace_id, :product_id, :provider, :mockup_id, :now)
ON CONFLICT (workspace_id, product_id, provider) DO NOTHING
RETURNING mockup_id
