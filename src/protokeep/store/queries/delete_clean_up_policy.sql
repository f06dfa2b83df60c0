-- Removes the standing policy of a workspace for an account.
DELETE FROM protokeep_clean_up_policies WHERE workspace_id = :workspace_id AND account = :account
