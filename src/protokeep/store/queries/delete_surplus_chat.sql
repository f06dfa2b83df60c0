-- Forgets a second chat of a prototype: it is the chat of a prototype of its own from now on.
DELETE FROM protokeep_surplus_chats WHERE account = :account AND chat_id = :chat_id
