-- Deletes invitations that have expired.
DELETE FROM protokeep_invitations WHERE expires_at <= :now
