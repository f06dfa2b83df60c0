-- Adds the row that people see. Its generation is inserted in the same transaction.
INSERT INTO design_mockups (id, product_id, user_id, provider, project_status, created_at{columns})
VALUES (:mockup_id, :product_id, :user_id, :provider, :status, :created_at{values})
