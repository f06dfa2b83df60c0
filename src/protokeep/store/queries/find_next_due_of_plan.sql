-- When the next item in one of these states may go on.
SELECT min(due_at) AS due_at FROM protokeep_plan_items WHERE plan_id = :plan_id AND state IN :states
