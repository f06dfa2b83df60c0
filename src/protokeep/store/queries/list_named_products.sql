-- Lists products of a workspace that people gave names, also those without prototypes.
SELECT product_id, name, NULL AS prompt FROM protokeep_products
WHERE workspace_id = :workspace_id AND name IS NOT NULL ORDER BY product_id LIMIT :limit
