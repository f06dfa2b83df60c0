-- Who approved a plan, and with which token.
SELECT approved_by, approved_with FROM protokeep_plan_approvals WHERE plan_id = :plan_id
ORDER BY approved_at, approved_by
