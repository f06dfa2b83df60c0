-- A plan of a workspace.
SELECT * FROM protokeep_plans WHERE workspace_id = :workspace_id AND id = :id
