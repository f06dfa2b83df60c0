-- Pins a chat. No row touched: it is pinned.
INSERT INTO protokeep_pins (workspace_id, account, chat_id, pinned_by, pinned_at, reason)
VALUES (:workspace_id, :account, :chat_id, :pinned_by, :now, :reason)
ON CONFLICT (workspace_id, account, chat_id) DO NOTHING
