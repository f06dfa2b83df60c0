-- Ends a claim that certainly made nothing.
UPDATE protokeep_archives SET restored_at = NULL
WHERE id = :id AND workspace_id = :workspace_id AND restored_as IS NULL AND restored_at = :claimed_at
