-- The events after one: the last of the next few, and when the oldest of them happened.
SELECT max(id) AS last_id, min(at) AS oldest_at
FROM (SELECT id, at FROM protokeep_events WHERE id > :after ORDER BY id LIMIT :limit) AS few
