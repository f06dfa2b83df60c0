-- Deletes idempotency keys that are older than they have to be kept.
DELETE FROM protokeep_idempotency_keys WHERE created_at < :before
