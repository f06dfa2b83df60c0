-- Pins a chat that was made again, so that no plan deletes it.
INSERT INTO protokeep_pins (workspace_id, account, chat_id, pinned_by, pinned_at, reason)
VALUES (:workspace_id, :account, :chat_id, :pinned_by, :pinned_at, :reason)
ON CONFLICT (workspace_id, account, chat_id) DO NOTHING
