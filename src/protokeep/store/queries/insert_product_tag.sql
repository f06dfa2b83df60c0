-- Gives a product a tag; touches no row if it has it.
INSERT INTO protokeep_product_tags (workspace_id, product_id, tag) VALUES (:workspace_id, :product_id, :tag)
ON CONFLICT (workspace_id, product_id, tag) DO NOTHING
