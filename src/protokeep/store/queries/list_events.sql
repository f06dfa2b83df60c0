-- Lists the history of a prototype, oldest first.
SELECT id, kind, source, actor, status, data, at AS happened_at FROM protokeep_events
WHERE workspace_id = :workspace_id AND mockup_id = :mockup_id
ORDER BY id LIMIT :limit
