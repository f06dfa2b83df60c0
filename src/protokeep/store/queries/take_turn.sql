-- A duty that one process does for all. No row back: another process did it lately. A time that lies ahead was written
-- by a clock that was wrong.
INSERT INTO protokeep_meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE protokeep_meta.value < :before OR protokeep_meta.value > :after
RETURNING name
