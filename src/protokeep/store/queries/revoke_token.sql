-- By id or by the prefix people see. No row touched: none such, or revoked before.
UPDATE protokeep_api_tokens SET revoked_at = :now
WHERE workspace_id = :workspace_id AND (id = :token OR prefix = :token) AND revoked_at IS NULL
RETURNING id, prefix, user_id
