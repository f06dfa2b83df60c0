-- Who did what, from where. Append-only: the table refuses changes.
INSERT INTO protokeep_audit (id, workspace_id, at, action, actor, token_id, address, subject, data)
VALUES (:id, :workspace_id, :at, :action, :actor, :token_id, :address, :subject, :data)
