-- A chat that the newest whole census of an account did not see.
SELECT chat_id FROM protokeep_census_chats
WHERE workspace_id = :workspace_id AND account = :account AND chat_id = :chat_id AND is_missing = true
