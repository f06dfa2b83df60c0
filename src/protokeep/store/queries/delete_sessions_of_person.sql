-- Ends every session of one person in one workspace, however it was opened.
DELETE FROM protokeep_sessions
WHERE (workspace_id = :workspace_id AND user_id = :user_id)
   OR token_id IN (SELECT id FROM protokeep_api_tokens WHERE workspace_id = :workspace_id AND user_id = :user_id)
