-- Somebody is watching: look now unless a look is younger than `stale_before`, and stay close for a while.
UPDATE protokeep_generations SET next_poll_at = :now, watched_until = :watched_until
WHERE mockup_id = :mockup_id AND (observed_at IS NULL OR observed_at <= :stale_before)
  AND recovery_point IN ('accepted', 'settled')
