-- Lists two tenants of the owner's rows, if there are as many.
SELECT DISTINCT tenant_id FROM design_mockups WHERE tenant_id IS NOT NULL LIMIT 2
