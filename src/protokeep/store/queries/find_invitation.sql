-- Finds an invitation that nobody has accepted and that has not expired.
SELECT digest, workspace_id, role, user_id, invited_by, created_at, expires_at, invited_with FROM protokeep_invitations
WHERE digest = :digest AND expires_at > :now
