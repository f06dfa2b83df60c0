-- Deletes a saved view of a person.
DELETE FROM protokeep_saved_views WHERE workspace_id = :workspace_id AND user_id = :user_id AND name = :name
