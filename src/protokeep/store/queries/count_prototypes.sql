-- Counts all tracked prototypes by provider and state. Reads the whole table.
SELECT provider, CASE WHEN deletion_due_at IS NULL THEN state ELSE 'in_bin' END AS state, count(*) AS number
FROM protokeep_generations GROUP BY 1, 2
