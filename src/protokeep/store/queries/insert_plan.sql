-- Adds a plan. Its items are added with it.
INSERT INTO protokeep_plans (id, workspace_id, account, digest, state, requested_by, created_at, expires_at, grace_days,
    per_day, chats, deletions, approvals_needed, edited_from, origin, rules_off, step_at)
VALUES (:id, :workspace_id, :account, :digest, :state, :requested_by, :created_at, :expires_at, :grace_days,
    :per_day, :chats, :deletions, :approvals_needed, :edited_from, :origin, :rules_off, :step_at)
