-- There is no call left for it: not looked at, and due again later. Time in which nobody looks counts against nothing.
UPDATE protokeep_generations SET
  next_poll_at = :next_poll_at, deadline_at = :deadline_at, missing_since = :missing_since
WHERE mockup_id = :mockup_id AND version = :version AND next_poll_at IS NOT NULL
