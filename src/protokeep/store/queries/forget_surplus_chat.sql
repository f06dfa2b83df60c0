-- A second chat of a prototype is deleted at the app builder.
DELETE FROM protokeep_surplus_chats WHERE account = :account AND chat_id = :chat_id
