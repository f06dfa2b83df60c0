-- Says which group a chat is in, what it is there, and which product that points to.
UPDATE protokeep_census_chats SET group_id = :group_id, kind = :kind, product_id = :product_id
WHERE workspace_id = :workspace_id AND account = :account AND chat_id = :chat_id
