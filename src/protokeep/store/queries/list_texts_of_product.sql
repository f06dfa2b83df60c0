-- The indexed rows of a product, newest first.
SELECT mockup_id FROM protokeep_texts
WHERE workspace_id = :workspace_id AND product_key = :product_key AND product_id = :product_id
ORDER BY place DESC LIMIT :limit
