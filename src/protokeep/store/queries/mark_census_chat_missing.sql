-- Marks a chat that a plan has deleted, so that it counts no more before the next whole census.
UPDATE protokeep_census_chats SET is_missing = true
WHERE workspace_id = :workspace_id AND account = :account AND chat_id = :chat_id
