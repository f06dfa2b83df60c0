-- Those of the given chats that the row of a prototype names, of whatever workspace.
SELECT v0_chat_id AS chat_id FROM design_mockups WHERE v0_chat_id IN :chats
