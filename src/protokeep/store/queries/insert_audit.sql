-- Who did what, from where. Append-only: the table refuses changes.
INSERT INTO protokeep_audit (id, workspace_id, at, action, actor, token_id, address, subject, data)
SELECT :id, :workspace_id, :at, :action, :actor, :token_id, :address, :subject, :data
WHERE TRUE
