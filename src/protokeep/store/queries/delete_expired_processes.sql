-- Deletes the rows of processes that ended long ago.
DELETE FROM protokeep_processes WHERE beat_at < :before
