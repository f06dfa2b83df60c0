-- The standing policies of a workspace.
SELECT * FROM protokeep_clean_up_policies WHERE workspace_id = :workspace_id ORDER BY account
