-- What admins have set for a workspace. No row: nothing.
SELECT unclear_product FROM protokeep_workspace_settings WHERE workspace_id = :workspace_id
