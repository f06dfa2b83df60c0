-- Lists every name that somebody in a workspace has or had, or that something of theirs is kept under, each once.
SELECT user_id FROM protokeep_api_tokens WHERE workspace_id = :workspace_id
UNION SELECT created_by FROM protokeep_generations WHERE workspace_id = :workspace_id
UNION SELECT user_id FROM protokeep_provider_keys WHERE workspace_id = :workspace_id
UNION SELECT user_id FROM protokeep_sessions WHERE workspace_id = :workspace_id
UNION SELECT user_id FROM protokeep_favourites WHERE workspace_id = :workspace_id
UNION SELECT user_id FROM protokeep_saved_views WHERE workspace_id = :workspace_id
