-- Writes the id of the chat that was found. No row touched: the prototype has another chat.
UPDATE design_mockups SET v0_chat_id = :chat_id{touched} WHERE id = :mockup_id AND v0_chat_id IS NULL
