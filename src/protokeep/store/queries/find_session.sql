-- Finds a session that has not expired, with the token that opened it, or else with the person that signed in. The
-- caller judges the token.
SELECT s.created_at AS opened_at, s.expires_at AS session_expires_at, s.workspace_id AS own_workspace,
       s.user_id AS own_user, s.role AS own_role, t.id, t.workspace_id, t.user_id, t.name, t.role, t.prefix,
       t.created_at, t.expires_at, t.revoked_at, t.last_used_at
FROM protokeep_sessions s LEFT JOIN protokeep_api_tokens t ON t.id = s.token_id
WHERE s.digest = :digest AND s.kind = 'session' AND s.expires_at > :now
