-- Rows that wait to be sent or looked up and that nobody holds.
SELECT mockup_id, fence FROM protokeep_generations
WHERE recovery_point IN ('claimed', 'sent') AND next_try_at <= :now
  AND (lease_until IS NULL OR lease_until <= :now)
ORDER BY next_try_at LIMIT :limit
