-- Lists the audit of a workspace, newest first, after a given entry.
SELECT id, workspace_id, at AS written_at, action, actor, token_id, address, subject, data FROM protokeep_audit
WHERE workspace_id = :workspace_id
  AND at >= :since AND at < :until
  AND (CAST(:action AS text) IS NULL OR action = :action) AND (CAST(:actor AS text) IS NULL OR actor = :actor)
  AND (at, id) < (:after_at, :after_id)
ORDER BY at DESC, id DESC LIMIT :limit
