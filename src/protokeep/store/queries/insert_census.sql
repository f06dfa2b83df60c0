-- Begins a census. No row touched: another one of the workspace and the account is open.
INSERT INTO protokeep_censuses
  (id, workspace_id, account, state, is_whole, requested_by, started_at, step_at, phase, position, expected)
VALUES
  (:id, :workspace_id, :account, :state, :is_whole, :requested_by, :started_at, :step_at, :phase, :position, :expected)
ON CONFLICT DO NOTHING
