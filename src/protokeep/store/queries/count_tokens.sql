-- Counts the tokens that are valid now, in all workspaces.
SELECT count(*) AS number FROM protokeep_api_tokens
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
