-- Lists the processes that wrote last, newest first, and always the process that asks.
SELECT process_id, beat, beat_at, server, known_until, went_back, ahead_until FROM protokeep_processes
WHERE process_id = :process_id
   OR process_id IN (SELECT process_id FROM protokeep_processes ORDER BY beat_at DESC LIMIT 100)
ORDER BY beat_at DESC
