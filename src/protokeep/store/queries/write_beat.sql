-- This process lives. Its number is beyond every one that the process ever wrote, also to a copy that was given up: one
-- that is put back after another one was in use is told by the number that it lacks.
INSERT INTO protokeep_processes (process_id, beat, beat_at, server, known_until, went_back, ahead_until)
VALUES (:process_id, :beat + 1, :now, :server, :known_until, :went_back, :ahead_until)
ON CONFLICT (process_id) DO UPDATE SET
  beat = CASE WHEN protokeep_processes.beat >= excluded.beat THEN protokeep_processes.beat + 1 ELSE excluded.beat END,
  beat_at = excluded.beat_at, server = excluded.server,
  known_until = excluded.known_until, went_back = excluded.went_back, ahead_until = excluded.ahead_until
RETURNING beat
