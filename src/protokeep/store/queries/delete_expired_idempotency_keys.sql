-- Deletes some idempotency keys that are older than they have to be kept.
DELETE FROM protokeep_idempotency_keys
WHERE (workspace_id, actor, key) IN (
  SELECT workspace_id, actor, key FROM protokeep_idempotency_keys
  WHERE created_at < :before ORDER BY created_at LIMIT :limit
)
