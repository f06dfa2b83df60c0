-- When the next step of any census is due.
SELECT min(step_at) AS step_at FROM protokeep_censuses WHERE state IN ('running', 'paused')
