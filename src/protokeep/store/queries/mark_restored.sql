-- Writes down which chat was made from an archive.
UPDATE protokeep_archives SET restored_as = :chat_id, restored_at = :now WHERE id = :id AND workspace_id = :workspace_id
