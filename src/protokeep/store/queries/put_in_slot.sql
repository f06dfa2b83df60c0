-- Another one was asked for on purpose: it becomes the current one, whoever held the place.
INSERT INTO protokeep_slots (workspace_id, product_id, provider, mockup_id, updated_at)
VALUES (:workspace_id, :product_id, :provider, :mockup_id, :now)
ON CONFLICT (workspace_id, product_id, provider)
DO UPDATE SET mockup_id = excluded.mockup_id, updated_at = excluded.updated_at
RETURNING mockup_id
