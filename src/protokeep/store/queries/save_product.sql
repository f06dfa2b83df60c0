-- Adds a product when it is first used. A name that is given later replaces the earlier name.
INSERT INTO protokeep_products (workspace_id, product_id, name, created_at)
VALUES (:workspace_id, :product_id, :name, :now)
ON CONFLICT (workspace_id, product_id) DO UPDATE SET name = COALESCE(excluded.name, protokeep_products.name)
