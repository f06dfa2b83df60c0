-- Records a second chat with the marker of a prototype, so that people see it. No row touched: it was recorded before.
INSERT INTO protokeep_surplus_chats (account, chat_id, mockup_id, marker, seen_at)
VALUES (:account, :chat_id, :mockup_id, :marker, :now)
ON CONFLICT (account, chat_id) DO NOTHING
