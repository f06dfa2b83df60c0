-- Takes a tag away from a product; touches no row if it does not have it.
DELETE FROM protokeep_product_tags WHERE workspace_id = :workspace_id AND product_id = :product_id AND tag = :tag
