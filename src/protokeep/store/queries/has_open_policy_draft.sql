-- Whether a draft of the standing policy waits for its approval.
SELECT 1 AS found FROM protokeep_plans
WHERE workspace_id = :workspace_id AND account = :account AND origin = 'policy' AND state = 'draft' LIMIT 1
