-- Whether any finished prototype waits for its wrap-up.
SELECT 1 AS found FROM protokeep_generations WHERE wrap_up_at <= :now LIMIT 1
