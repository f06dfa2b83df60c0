-- A second chat with our marker: recorded and shown, never hidden. No row touched: noted before.
INSERT INTO protokeep_surplus_chats (account, chat_id, mockup_id, marker, seen_at)
VALUES (:account, :chat_id, :mockup_id, :marker, :now)
ON CONFLICT (account, chat_id) DO NOTHING
