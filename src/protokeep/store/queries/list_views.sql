-- Lists the saved views of a person.
SELECT name, query FROM protokeep_saved_views WHERE workspace_id = :workspace_id AND user_id = :user_id
ORDER BY name LIMIT :limit
