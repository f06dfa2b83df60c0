-- Sign out everywhere: every session of one person in one workspace, whichever token opened it.
DELETE FROM protokeep_sessions WHERE token_id IN
    (SELECT id FROM protokeep_api_tokens WHERE workspace_id = :workspace_id AND user_id = :user_id)
