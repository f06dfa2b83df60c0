-- Takes a product from the favourites of a person; touches no row if it is none.
DELETE FROM protokeep_favourites
WHERE workspace_id = :workspace_id AND user_id = :user_id AND product_id = :product_id
