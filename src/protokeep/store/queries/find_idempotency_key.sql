-- Finds the request that an idempotency key was used for.
SELECT fingerprint, mockup_id FROM protokeep_idempotency_keys
WHERE workspace_id = :workspace_id AND actor = :actor AND key = :key
