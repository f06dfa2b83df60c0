-- There is no call left for it: not looked at, and due again later.
UPDATE protokeep_generations SET next_poll_at = :next_poll_at
WHERE mockup_id = :mockup_id AND version = :version AND next_poll_at IS NOT NULL
