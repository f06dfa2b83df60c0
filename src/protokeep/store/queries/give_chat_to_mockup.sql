-- The id of the chat that this prototype is. No row touched: it has another one.
UPDATE design_mockups SET v0_chat_id = :chat_id{touched} WHERE id = :mockup_id AND v0_chat_id IS NULL
