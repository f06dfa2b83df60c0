-- Checks whether the owner's table of products has this product.
SELECT 1 AS found FROM {products_table} p WHERE p.{products_column} = :product_id{of_workspace}
