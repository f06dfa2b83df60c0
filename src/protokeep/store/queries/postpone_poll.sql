-- Postpones a poll for which there is no call left. Time without polls counts against no limit.
UPDATE protokeep_generations SET
  next_poll_at = :next_poll_at, deadline_at = :deadline_at, missing_since = :missing_since
WHERE mockup_id = :mockup_id AND version = :version AND next_poll_at IS NOT NULL
