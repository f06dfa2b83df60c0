-- Counts idempotency keys that are older than they have to be kept.
SELECT count(*) AS number FROM protokeep_idempotency_keys WHERE created_at < :before
