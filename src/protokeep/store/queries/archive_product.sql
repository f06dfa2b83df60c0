-- Puts a product out of sight; touches no row if it is archived already.
INSERT INTO protokeep_archived_products (workspace_id, product_id, archived_at)
VALUES (:workspace_id, :product_id, :now) ON CONFLICT (workspace_id, product_id) DO NOTHING
