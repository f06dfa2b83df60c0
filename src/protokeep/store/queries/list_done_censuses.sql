-- When the finished censuses of an account began and ended, and whether each read the lists to their ends; oldest first.
SELECT id, started_at, finished_at, is_whole FROM protokeep_censuses
WHERE workspace_id = :workspace_id AND account = :account AND state = 'done' ORDER BY started_at, id
