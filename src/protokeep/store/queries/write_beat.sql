-- This process lives.
INSERT INTO protokeep_processes (process_id, beat, beat_at, server, known_until, went_back, set_back_from)
VALUES (:process_id, 1, :now, :server, :known_until, :went_back, :set_back_from)
ON CONFLICT (process_id) DO UPDATE SET
  beat = protokeep_processes.beat + 1, beat_at = excluded.beat_at, server = excluded.server,
  known_until = excluded.known_until, went_back = excluded.went_back, set_back_from = excluded.set_back_from
RETURNING beat
