-- Gives this process the turn for a periodic task that one process does for all. No row: another process did it lately.
-- A time in the future was written by a clock that was wrong, and does not count.
INSERT INTO protokeep_meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE protokeep_meta.value < :before OR protokeep_meta.value > :after
RETURNING name
