-- Claims that an archive is made again, so that two requests make one chat.
UPDATE protokeep_archives SET restored_at = :now
WHERE id = :id AND workspace_id = :workspace_id AND restored_as IS NULL AND (restored_at IS NULL OR restored_at < :stale_before)
