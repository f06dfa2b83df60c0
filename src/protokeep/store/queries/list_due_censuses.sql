-- Lists open censuses whose next step is due, the longest due first.
SELECT id, workspace_id, account, state, is_whole, requested_by, started_at, step_at, finished_at, phase, position, calls,
  chats, expected, problem, version
FROM protokeep_censuses WHERE state IN ('running', 'paused') AND step_at <= :now ORDER BY step_at LIMIT :limit
