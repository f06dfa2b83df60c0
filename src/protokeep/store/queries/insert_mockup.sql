-- The row people see. Its generation is inserted in the same transaction.
INSERT INTO design_mockups (id, product_id, user_id, provider, project_status, created_at{columns})
SELECT :id, :product_id, :user_id, :provider, 'pending', :now{values}
WHERE TRUE
