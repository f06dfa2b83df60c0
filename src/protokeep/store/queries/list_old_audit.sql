-- Lists lines of the audit that were written before a time, oldest first, but for those of actions that stay.
SELECT id, workspace_id, at AS written_at, action, actor, token_id, address, subject, data FROM protokeep_audit
WHERE workspace_id = :workspace_id AND at < :before AND (at, id) > (:after_at, :after_id)
  AND NOT (action IN :lasting)
ORDER BY at, id LIMIT :limit
