-- Reads the newest census that was made wholly, of one kind.
SELECT id, workspace_id, account, state, is_whole, requested_by, started_at, step_at, finished_at, phase, position, calls,
  chats, expected, problem, version
FROM protokeep_censuses
WHERE workspace_id = :workspace_id AND account = :account AND state = 'done' AND is_whole = :is_whole
ORDER BY started_at DESC LIMIT 1
