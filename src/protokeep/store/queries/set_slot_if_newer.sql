-- Puts a chat that was found at the provider into the slot, unless the slot holds a younger prototype.
INSERT INTO protokeep_slots (workspace_id, product_id, provider, mockup_id, updated_at)
VALUES (:workspace_id, :product_id, :provider, :mockup_id, :now)
ON CONFLICT (workspace_id, product_id, provider)
DO UPDATE SET mockup_id = excluded.mockup_id, updated_at = excluded.updated_at
WHERE (SELECT m.created_at FROM design_mockups m WHERE m.id = protokeep_slots.mockup_id) < :created_at
RETURNING mockup_id
