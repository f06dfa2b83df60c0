-- Saves a heartbeat. Its number is greater than every number that this process ever wrote, also to a copy of the
-- database that was given up: a copy that comes back is recognised by the number that it lacks.
INSERT INTO protokeep_processes (process_id, beat, beat_at, server, known_until, went_back, ahead_until)
VALUES (:process_id, :beat + 1, :now, :server, :known_until, :went_back, :ahead_until)
ON CONFLICT (process_id) DO UPDATE SET
  beat = CASE WHEN protokeep_processes.beat >= excluded.beat THEN protokeep_processes.beat + 1 ELSE excluded.beat END,
  beat_at = excluded.beat_at, server = excluded.server,
  known_until = excluded.known_until, went_back = excluded.went_back, ahead_until = excluded.ahead_until
RETURNING beat
