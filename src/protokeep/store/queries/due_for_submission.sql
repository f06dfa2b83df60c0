-- Lists prototypes that wait to be sent or looked up and that no worker holds. Those that were sent come first, so that
-- a lost answer does not wait behind many new requests. Without next_try_at a submission ended halfway.
SELECT mockup_id, fence, recovery_point FROM protokeep_generations
WHERE recovery_point IN ('claimed', 'sent') AND (next_try_at IS NULL OR next_try_at <= :now)
  AND (lease_until IS NULL OR lease_until <= :now)
ORDER BY recovery_point DESC, COALESCE(next_try_at, sent_at, created_at) LIMIT :limit
