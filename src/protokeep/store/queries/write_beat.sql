-- This process lives.
INSERT INTO protokeep_processes (process_id, beat, beat_at, server, known_until)
VALUES (:process_id, 1, :now, :server, :known_until)
ON CONFLICT (process_id) DO UPDATE SET
  beat = protokeep_processes.beat + 1, beat_at = excluded.beat_at, server = excluded.server,
  known_until = excluded.known_until
RETURNING beat
