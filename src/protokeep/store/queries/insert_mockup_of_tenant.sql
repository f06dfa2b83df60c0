-- The same in an owner's table whose rows belong to tenants: the tenant is the product's.
-- No row inserted: the owner has no such product.
INSERT INTO design_mockups (id, product_id, user_id, tenant_id, provider, project_status, created_at{columns})
SELECT :id, p.{products_column}, :user_id, p.tenant_id, :provider, 'pending', :now{values}
FROM {products_table} p
WHERE p.{products_column} = :product_id AND TRUE
