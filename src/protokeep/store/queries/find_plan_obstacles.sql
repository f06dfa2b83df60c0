-- What speaks against the deletion of a chat now, whatever its group is.
SELECT
    EXISTS (SELECT 1 FROM protokeep_pins p WHERE p.account = :account AND p.chat_id = :chat_id) AS is_pinned,
    EXISTS (SELECT 1 FROM design_mockups m WHERE m.v0_chat_id = :chat_id) AS has_prototype
