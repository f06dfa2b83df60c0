-- Adds a token. Only its digest is stored; the token itself is shown once.
INSERT INTO protokeep_api_tokens (id, workspace_id, user_id, name, role, prefix, digest, created_at, expires_at)
VALUES (:id, :workspace_id, :user_id, :name, :role, :prefix, :digest, :now, :expires_at)
