-- Lists the favourites of a person.
SELECT product_id FROM protokeep_favourites WHERE workspace_id = :workspace_id AND user_id = :user_id LIMIT :limit
