-- Takes the lease of a prototype that waits to be sent or looked up. No row: another worker holds the lease, or nothing
-- is due.
UPDATE protokeep_generations SET fence = fence + 1, version = version + 1, lease_until = :lease_until
WHERE mockup_id = :mockup_id AND recovery_point IN ('claimed', 'sent')
  AND (lease_until IS NULL OR lease_until <= :now)
  AND (next_try_at IS NULL OR next_try_at <= :now)
  AND deletion_due_at IS NULL
RETURNING mockup_id
