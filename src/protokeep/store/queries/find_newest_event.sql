-- The newest event of all.
SELECT coalesce(max(id), 0) AS id FROM protokeep_events
