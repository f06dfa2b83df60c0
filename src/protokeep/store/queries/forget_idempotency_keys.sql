-- Keys older than their promise.
DELETE FROM protokeep_idempotency_keys WHERE created_at < :before
