-- Checks whether one of these chats was created for an account before a time.
SELECT 1 AS found FROM design_mockups m JOIN protokeep_generations g ON g.mockup_id = m.id
WHERE g.account = :account AND m.v0_chat_id IN :chats AND COALESCE(g.sent_at, g.created_at) < :before LIMIT 1
