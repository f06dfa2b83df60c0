-- Revokes a token by its id, or by the prefix that people see. No row: there is none, or it was revoked before.
UPDATE protokeep_api_tokens SET revoked_at = :now
WHERE workspace_id = :workspace_id AND (id = :token OR prefix = :token) AND revoked_at IS NULL
RETURNING id, prefix, user_id
