-- Take the one place of a product at a provider. No row back: somebody has it.
INSERT INTO protokeep_slots (workspace_id, product_id, provider, mockup_id, updated_at)
VALUES (:workspace_id, :product_id, :provider, :mockup_id, :now)
ON CONFLICT (workspace_id, product_id, provider) DO NOTHING
RETURNING mockup_id
