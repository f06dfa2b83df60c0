-- When the next step of any plan, or the next draft of a standing policy, is due.
SELECT min(due_at) AS due_at FROM (
    SELECT min(step_at) AS due_at FROM protokeep_plans
    UNION ALL
    SELECT min(next_at) AS due_at FROM protokeep_clean_up_policies
) AS steps
