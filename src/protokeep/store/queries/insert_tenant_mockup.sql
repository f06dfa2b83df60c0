-- Adds the row that people see to an owner's table whose rows belong to tenants: the tenant is the product's. No row
-- touched: the owner has no such product, or another tenant has it.
INSERT INTO design_mockups (id, product_id, user_id, tenant_id, provider, project_status, created_at{columns})
SELECT :mockup_id, p.{products_column}, :user_id, p.tenant_id, :provider, :status, :created_at{values}
FROM {products_table} p
WHERE p.{products_column} = :product_id{of_workspace}
