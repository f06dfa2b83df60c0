-- Checks whether this workspace had such a prototype and deleted it.
SELECT 1 AS found FROM protokeep_events
WHERE workspace_id = :workspace_id AND mockup_id = :mockup_id AND kind = 'deleted' LIMIT 1
