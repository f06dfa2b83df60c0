-- Plans whose next step is due.
SELECT * FROM protokeep_plans WHERE step_at <= :now ORDER BY step_at, id LIMIT :limit
