-- Whether any finished prototype waits for its wrap-up.
SELECT 1 AS found FROM protokeep_generations WHERE finalize_at <= :now LIMIT 1
