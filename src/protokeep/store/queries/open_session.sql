-- Keep a session, or a link that opens one once.
INSERT INTO protokeep_sessions (digest, kind, token_id, created_at, expires_at)
VALUES (:digest, :kind, :token_id, :now, :expires_at)
