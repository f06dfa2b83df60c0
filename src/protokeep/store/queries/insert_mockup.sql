-- The row people see. Its generation is inserted in the same transaction.
INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, project_status, created_at, updated_at)
VALUES (:id, :product_id, :user_id, :provider, :prompt, 'pending', :now, :now)
