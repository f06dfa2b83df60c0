-- Lists what happened after an event, and the events before it that were not committed when it was read.
SELECT id, workspace_id, product_id, CAST(mockup_id AS text) AS mockup_id, kind FROM protokeep_events
WHERE id > :after OR id IN :missing
ORDER BY id LIMIT :limit
