-- Ends the open census of a workspace and an account, if there is one.
UPDATE protokeep_censuses
SET state = 'cancelled', finished_at = :now, step_at = NULL, problem = NULL, version = version + 1
WHERE workspace_id = :workspace_id AND account = :account AND state IN ('running', 'paused')
