-- Makes a prototype that somebody watches due for a poll, unless the provider answered after :stale_before. An overdue
-- poll keeps its time, which tells for how long nobody polled.
UPDATE protokeep_generations SET
  next_poll_at = CASE WHEN next_poll_at < :now THEN next_poll_at ELSE :now END, watched_until = :watched_until
WHERE mockup_id = :mockup_id AND recovery_point IN ('accepted', 'settled')
  AND (observed_at IS NULL OR observed_at <= :stale_before OR observed_at > :now)
  AND (last_missing_at IS NULL OR last_missing_at <= :stale_before OR last_missing_at > :now)
