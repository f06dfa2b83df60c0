-- Whether a chat is recorded as a second chat of another workspace's prototype.
SELECT 1 AS found FROM protokeep_surplus_chats s JOIN protokeep_generations g ON g.mockup_id = s.mockup_id
WHERE s.account = :account AND s.chat_id = :chat_id AND g.workspace_id <> :workspace_id
