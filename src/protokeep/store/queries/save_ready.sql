-- Writes that a process is ready, so that a database which takes no writes shows itself.
INSERT INTO protokeep_meta (name, value) VALUES ('ready', :now)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
