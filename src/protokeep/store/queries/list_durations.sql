-- Lists how long the newest ready prototypes of a workspace took, without those that had follow-ups, and those that were
-- taken over. Of a workspace that took all of them over, the newest few are looked at, and not all.
SELECT created_at, settled_at FROM (
    SELECT created_at, settled_at, sent_at, turn FROM protokeep_generations
    WHERE workspace_id = :workspace_id AND state = 'ready'
    ORDER BY created_at DESC, mockup_id DESC LIMIT :looked_at
) AS newest
WHERE settled_at IS NOT NULL AND sent_at IS NOT NULL AND turn = 1
LIMIT :limit
