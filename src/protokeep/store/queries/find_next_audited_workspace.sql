-- The next workspace, by its name, that has lines in the audit.
SELECT min(workspace_id) AS workspace_id FROM protokeep_audit WHERE workspace_id > :after
