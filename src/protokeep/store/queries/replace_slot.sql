-- Compare and set: gives the slot of an unusable prototype to a new one. No row: another request was first.
UPDATE protokeep_slots SET mockup_id = :mockup_id, updated_at = :now
WHERE workspace_id = :workspace_id AND product_id = :product_id AND provider = :provider
  AND mockup_id = :expected
RETURNING mockup_id
