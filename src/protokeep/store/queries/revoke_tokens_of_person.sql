-- Revokes every token of one person in one workspace.
UPDATE protokeep_api_tokens SET revoked_at = :now
WHERE workspace_id = :workspace_id AND user_id = :user_id AND revoked_at IS NULL
