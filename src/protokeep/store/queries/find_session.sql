-- A session that still runs, with the token it was opened with; the caller judges the token.
SELECT s.created_at AS opened_at, s.expires_at AS session_expires_at, t.id, t.workspace_id, t.user_id, t.name, t.role,
       t.prefix, t.created_at, t.expires_at, t.revoked_at, t.last_used_at
FROM protokeep_sessions s JOIN protokeep_api_tokens t ON t.id = s.token_id
WHERE s.digest = :digest AND s.kind = 'session' AND s.expires_at > :now
