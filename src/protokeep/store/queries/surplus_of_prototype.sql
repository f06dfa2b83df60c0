-- Chats with a prototype's marker beyond the one it uses.
SELECT chat_id, seen_at FROM protokeep_surplus_chats WHERE mockup_id = :mockup_id ORDER BY seen_at
