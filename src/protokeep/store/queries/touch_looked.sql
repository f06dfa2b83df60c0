-- A look that changed nothing: only when it was, and when the next one is. The version stays, so that nobody else's
-- change is turned away for it; whoever moved the row meanwhile is left alone.
UPDATE protokeep_generations SET
  observed_at = :observed_at, last_shown_at = :last_shown_at, poll_count = poll_count + 1, next_poll_at = :next_poll_at
WHERE mockup_id = :mockup_id AND version = :version
