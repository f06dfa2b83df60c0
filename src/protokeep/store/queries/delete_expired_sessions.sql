-- Deletes sessions and sign-in codes that have expired.
DELETE FROM protokeep_sessions WHERE expires_at <= :now
