-- Adds an invitation, unless its workspace has as many open ones as it may have. Only its digest is stored.
INSERT INTO protokeep_invitations
  (digest, workspace_id, role, user_id, invited_by, created_at, expires_at, invited_with)
SELECT :digest, CAST(:workspace_id AS text), :role, CAST(:user_id AS text), :invited_by, :now, :expires_at,
  CAST(:invited_with AS text)
WHERE (
  SELECT count(*) FROM protokeep_invitations i
  WHERE i.workspace_id = CAST(:workspace_id AS text) AND i.expires_at > :now
) < :most
