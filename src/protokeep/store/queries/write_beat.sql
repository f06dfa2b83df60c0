-- This process lives.
INSERT INTO protokeep_processes (process_id, beat, beat_at, server, known_until, went_back)
VALUES (:process_id, 1, :now, :server, :known_until, :went_back)
ON CONFLICT (process_id) DO UPDATE SET
  beat = protokeep_processes.beat + 1, beat_at = excluded.beat_at, server = excluded.server,
  known_until = excluded.known_until, went_back = excluded.went_back
RETURNING beat
