-- Keeps a census from other processes until a time. No row touched: somebody changed it meanwhile.
UPDATE protokeep_censuses SET step_at = :until, version = version + 1
WHERE id = :id AND workspace_id = :workspace_id AND version = :version AND state IN ('running', 'paused')
