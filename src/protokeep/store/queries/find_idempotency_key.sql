-- What this person's key was used for.
SELECT fingerprint, mockup_id FROM protokeep_idempotency_keys
WHERE workspace_id = :workspace_id AND actor = :actor AND key = :key
