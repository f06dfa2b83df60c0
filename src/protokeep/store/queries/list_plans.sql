-- The plans of a workspace, newest first.
SELECT * FROM protokeep_plans WHERE workspace_id = :workspace_id ORDER BY created_at DESC, id DESC LIMIT :limit
