-- Checks whether any finished prototype is due for finalizing.
SELECT 1 AS found FROM protokeep_generations WHERE finalize_at <= :now LIMIT 1
