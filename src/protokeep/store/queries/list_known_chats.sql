-- Lists those of the given chats that some row already has.
SELECT v0_chat_id AS chat_id FROM design_mockups WHERE v0_chat_id IN :chats
UNION
SELECT chat_id FROM protokeep_surplus_chats WHERE account = :account AND chat_id IN :chats
