-- Rows that wait to be sent or looked up and that nobody holds. No `next_try_at`: a submit ended in the middle.
SELECT mockup_id, fence FROM protokeep_generations
WHERE recovery_point IN ('claimed', 'sent') AND (next_try_at IS NULL OR next_try_at <= :now)
  AND (lease_until IS NULL OR lease_until <= :now)
ORDER BY COALESCE(next_try_at, sent_at, created_at) LIMIT :limit
