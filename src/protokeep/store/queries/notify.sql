-- Heard by the other processes when this transaction commits.
SELECT pg_notify(:channel, :payload)
WHERE TRUE
