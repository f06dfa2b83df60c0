-- Adds a session, or a sign-in code, of a token or of a person whom the sign-in service has named.
INSERT INTO protokeep_sessions (digest, kind, token_id, workspace_id, user_id, role, created_at, expires_at)
VALUES (:digest, :kind, :token_id, :workspace_id, :user_id, :role, :now, :expires_at)
