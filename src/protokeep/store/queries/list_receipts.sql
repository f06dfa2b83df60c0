-- The receipts of a plan, oldest first.
SELECT id, workspace_id, at AS written_at, action, actor, token_id, address, subject, data FROM protokeep_audit
WHERE workspace_id = :workspace_id AND subject = :plan_id AND action = 'plan_item'
ORDER BY at, id
