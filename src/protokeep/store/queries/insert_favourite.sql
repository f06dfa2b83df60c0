-- Makes a product a favourite of a person; touches no row if it is one.
INSERT INTO protokeep_favourites (workspace_id, user_id, product_id) VALUES (:workspace_id, :user_id, :product_id)
ON CONFLICT (workspace_id, user_id, product_id) DO NOTHING
