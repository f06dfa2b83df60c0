-- The id of the chat that this prototype is.
UPDATE design_mockups SET v0_chat_id = :chat_id{touched} WHERE id = :mockup_id
