-- Finds a token by its digest, in any state. The caller judges expiry and revocation.
SELECT id, workspace_id, user_id, name, role, prefix, created_at, expires_at, revoked_at, last_used_at
FROM protokeep_api_tokens WHERE digest = :digest
