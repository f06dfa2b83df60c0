-- Saves the first message of a chat, or that it has none.
UPDATE protokeep_census_chats SET prompt = :prompt, prompt_read_at = :now
WHERE workspace_id = :workspace_id AND account = :account AND chat_id = :chat_id AND claim <> 'foreign'
