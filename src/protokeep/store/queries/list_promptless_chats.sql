-- Lists chats whose first message was asked for, and that had none.
SELECT chat_id FROM protokeep_census_chats
WHERE workspace_id = :workspace_id AND account = :account AND prompt IS NULL AND prompt_read_at IS NOT NULL
