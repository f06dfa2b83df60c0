-- Lists chats of older rows whose account is not known.
SELECT g.mockup_id, m.v0_chat_id AS chat_id, m.created_at, g.created_at AS adopted_at
FROM protokeep_generations g JOIN design_mockups m ON m.id = g.mockup_id
WHERE g.account = :account AND m.v0_chat_id <> ''
