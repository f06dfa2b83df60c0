-- Saves how far a census is. No row touched: somebody changed it meanwhile.
UPDATE protokeep_censuses
SET state = :state, step_at = :step_at, finished_at = :finished_at, phase = :phase, position = :position,
  calls = :calls, chats = :chats, problem = :problem, version = version + 1
WHERE id = :id AND workspace_id = :workspace_id AND version = :version AND state IN ('running', 'paused')
