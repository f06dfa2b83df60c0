-- Lists the tokens of a workspace, newest first, after a given one.
SELECT id, workspace_id, user_id, name, role, prefix, created_at, expires_at, revoked_at, last_used_at
FROM protokeep_api_tokens WHERE workspace_id = :workspace_id AND (created_at, id) < (:after_created_at, :after_id)
ORDER BY created_at DESC, id DESC LIMIT :limit
