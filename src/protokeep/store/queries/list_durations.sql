-- Lists how long the newest ready prototypes of a workspace took, without those that had follow-ups.
SELECT created_at, settled_at FROM protokeep_generations
WHERE workspace_id = :workspace_id AND state = 'ready' AND settled_at IS NOT NULL AND sent_at IS NOT NULL AND turn = 1
ORDER BY created_at DESC, mockup_id DESC LIMIT :limit
