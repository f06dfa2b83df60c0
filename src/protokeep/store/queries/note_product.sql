-- A product is known from its first use; a name given later is kept.
INSERT INTO protokeep_products (workspace_id, product_id, name, created_at)
SELECT :workspace_id, :product_id, :name, :now
WHERE TRUE
ON CONFLICT (workspace_id, product_id) DO UPDATE SET name = COALESCE(excluded.name, protokeep_products.name)
