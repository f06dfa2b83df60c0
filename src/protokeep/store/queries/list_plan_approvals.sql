-- Who approved these plans, in order.
SELECT plan_id, approved_by, approved_at FROM protokeep_plan_approvals WHERE plan_id IN :plans
ORDER BY approved_at, approved_by
