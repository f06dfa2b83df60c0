-- The grace period of an approved plan begins.
UPDATE protokeep_plan_items SET state = 'waiting', due_at = :due_at, changed_at = :now, version = version + 1
WHERE plan_id = :plan_id AND action = 'delete' AND state = 'planned'
