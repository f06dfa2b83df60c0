-- Reads the name of a product. No row: the product has no name yet.
SELECT name FROM protokeep_products WHERE workspace_id = :workspace_id AND product_id = :product_id
