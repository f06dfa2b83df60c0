-- Adds an entry to the audit: who did what, from where. The table refuses changes.
INSERT INTO protokeep_audit (id, workspace_id, at, action, actor, token_id, address, subject, data)
VALUES (:id, :workspace_id, :at, :action, :actor, :token_id, :address, :subject, :data)
