-- Saves a view of a person; one with the same name is replaced.
INSERT INTO protokeep_saved_views (workspace_id, user_id, name, query) VALUES (:workspace_id, :user_id, :name, :query)
ON CONFLICT (workspace_id, user_id, name) DO UPDATE SET query = excluded.query
