-- What people call a product; no row: it is not known yet.
SELECT name FROM protokeep_products WHERE workspace_id = :workspace_id AND product_id = :product_id
