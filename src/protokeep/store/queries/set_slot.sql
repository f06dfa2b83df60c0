-- Puts a prototype that was asked for as another one on purpose into the slot, whatever held it.
INSERT INTO protokeep_slots (workspace_id, product_id, provider, mockup_id, updated_at)
VALUES (:workspace_id, :product_id, :provider, :mockup_id, :now)
ON CONFLICT (workspace_id, product_id, provider)
DO UPDATE SET mockup_id = excluded.mockup_id, updated_at = excluded.updated_at
RETURNING mockup_id
