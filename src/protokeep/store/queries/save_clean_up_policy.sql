-- Sets the standing policy of a workspace for an account.
INSERT INTO protokeep_clean_up_policies (workspace_id, account, older_than_days, set_by, set_at, next_at)
VALUES (:workspace_id, :account, :older_than_days, :set_by, :set_at, :next_at)
ON CONFLICT (workspace_id, account) DO UPDATE
SET older_than_days = excluded.older_than_days, set_by = excluded.set_by, set_at = excluded.set_at,
    next_at = excluded.next_at
