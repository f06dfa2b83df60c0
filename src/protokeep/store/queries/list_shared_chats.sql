-- Lists those of the given chats that another row names: of any workspace, tracked or not, unless it is being deleted.
SELECT DISTINCT m.v0_chat_id AS chat_id FROM design_mockups m
LEFT JOIN protokeep_generations g ON g.mockup_id = m.id
WHERE m.v0_chat_id IN :chats AND m.id <> :mockup_id AND g.deletion_requested_at IS NULL
