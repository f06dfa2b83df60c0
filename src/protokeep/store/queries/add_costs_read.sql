-- Adds what a page of the usage report says that a chat has cost.
UPDATE protokeep_census_chats SET costs_read = COALESCE(costs_read, 0) + :credits
WHERE workspace_id = :workspace_id AND account = :account AND chat_id = :chat_id AND api_version = :api_version
  AND claim <> 'foreign'
