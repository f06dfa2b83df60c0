-- Adds the approval of an admin. No row: the same admin approved it before.
INSERT INTO protokeep_plan_approvals (plan_id, approved_by, approved_with, approved_at)
VALUES (:plan_id, :approved_by, :approved_with, :approved_at)
ON CONFLICT (plan_id, approved_by) DO NOTHING
