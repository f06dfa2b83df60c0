-- Adds an invitation. Only its digest is stored.
INSERT INTO protokeep_invitations (digest, workspace_id, role, user_id, invited_by, created_at, expires_at, invited_with)
VALUES (:digest, :workspace_id, :role, :user_id, :invited_by, :now, :expires_at, :invited_with)
