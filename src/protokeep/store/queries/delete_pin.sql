-- Takes a pin off a chat. No row touched: it has none.
DELETE FROM protokeep_pins WHERE workspace_id = :workspace_id AND account = :account AND chat_id = :chat_id
