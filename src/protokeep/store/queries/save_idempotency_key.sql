-- Saves what an idempotency key was used for. No row: a request with the same key was first.
INSERT INTO protokeep_idempotency_keys (workspace_id, actor, key, fingerprint, mockup_id, created_at)
VALUES (:workspace_id, :actor, :key, :fingerprint, :mockup_id, :now)
ON CONFLICT (workspace_id, actor, key) DO NOTHING
RETURNING mockup_id
