-- Forgets a second chat of a workspace's prototype: it is the chat of a prototype of its own from now on.
DELETE FROM protokeep_surplus_chats
WHERE account = :account AND chat_id = :chat_id
  AND mockup_id IN (SELECT g.mockup_id FROM protokeep_generations g WHERE g.workspace_id = :workspace_id)
