-- Lists the censuses of a workspace and an account, newest first.
SELECT id, workspace_id, account, state, is_whole, requested_by, started_at, step_at, finished_at, phase, position, calls,
  chats, expected, problem, version
FROM protokeep_censuses WHERE workspace_id = :workspace_id AND account = :account
ORDER BY started_at DESC, id DESC LIMIT :limit
