-- Saves the settings of a workspace, in place of those before.
INSERT INTO protokeep_workspace_settings (workspace_id, unclear_product) VALUES (:workspace_id, :unclear_product)
ON CONFLICT (workspace_id) DO UPDATE SET unclear_product = excluded.unclear_product
