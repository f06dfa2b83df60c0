-- Lists the chats that carry a prototype's marker and are not the chat that it uses.
SELECT chat_id, seen_at FROM protokeep_surplus_chats WHERE mockup_id = :mockup_id ORDER BY seen_at
