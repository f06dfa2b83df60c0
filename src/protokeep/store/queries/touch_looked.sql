-- A look that changed nothing: only when it was, and when the next one is.
UPDATE protokeep_generations SET
  observed_at = :observed_at, poll_count = :poll_count, next_poll_at = :next_poll_at, version = version + 1
WHERE mockup_id = :mockup_id AND version = :version
