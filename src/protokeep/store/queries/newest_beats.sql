-- The processes that wrote last, newest first.
SELECT process_id, beat, beat_at, server, known_until, went_back, set_back_from FROM protokeep_processes
ORDER BY beat_at DESC LIMIT 100
