-- Those of the given chats that the censuses of an account have seen.
SELECT chat_id FROM protokeep_census_chats
WHERE workspace_id = :workspace_id AND account = :account AND chat_id IN :chats
