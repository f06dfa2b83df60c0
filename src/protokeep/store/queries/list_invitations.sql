-- Lists the invitations of a workspace that nobody has accepted yet, newest first.
SELECT digest, workspace_id, role, user_id, invited_by, created_at, expires_at, invited_with FROM protokeep_invitations
WHERE workspace_id = :workspace_id AND expires_at > :now ORDER BY created_at DESC, digest
