-- Lists the tokens of a workspace, newest first, revoked ones too.
SELECT id, workspace_id, user_id, name, role, prefix, created_at, expires_at, revoked_at, last_used_at
FROM protokeep_api_tokens WHERE workspace_id = :workspace_id ORDER BY created_at DESC, id DESC LIMIT :limit
