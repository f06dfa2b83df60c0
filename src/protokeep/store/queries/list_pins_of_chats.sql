-- Who of the workspace has pinned chats of an account.
SELECT chat_id, pinned_by FROM protokeep_pins
WHERE workspace_id = :workspace_id AND account = :account AND chat_id IN :chat_ids
