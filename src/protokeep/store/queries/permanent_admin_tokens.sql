-- Lists admin tokens that are valid and never expire, in all workspaces.
SELECT id, workspace_id, user_id, name, role, prefix, created_at, expires_at, revoked_at, last_used_at
FROM protokeep_api_tokens
WHERE role = 'admin' AND revoked_at IS NULL AND expires_at IS NULL AND created_at <= :now
ORDER BY created_at, id
