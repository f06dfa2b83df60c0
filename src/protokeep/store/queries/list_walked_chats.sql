-- Lists the chats that one reading of a list has shown so far.
SELECT chat_id FROM protokeep_census_chats
WHERE workspace_id = :workspace_id AND account = :account AND walk = :walk
