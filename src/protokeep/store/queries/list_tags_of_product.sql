-- Lists the tags of a product.
SELECT tag FROM protokeep_product_tags WHERE workspace_id = :workspace_id AND product_id = :product_id ORDER BY tag
