-- Extends the lease of a prototype. No row touched: another worker took it over.
UPDATE protokeep_generations SET lease_until = :lease_until
WHERE mockup_id = :mockup_id AND fence = :fence AND recovery_point IN ('claimed', 'sent')
