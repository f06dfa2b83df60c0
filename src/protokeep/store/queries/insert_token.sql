-- Adds a token, unless its workspace has as many valid ones as it may have. Only its digest is stored.
INSERT INTO protokeep_api_tokens
  (id, workspace_id, user_id, name, role, prefix, digest, created_at, expires_at, made_by, made_with)
SELECT :id, CAST(:workspace_id AS text), :user_id, :name, :role, :prefix, :digest, :now, :expires_at,
  CAST(:made_by AS text), CAST(:made_with AS text)
WHERE (
  SELECT count(*) FROM protokeep_api_tokens t
  WHERE t.workspace_id = CAST(:workspace_id AS text) AND t.revoked_at IS NULL
    AND (t.expires_at IS NULL OR t.expires_at > :now)
) < :most
