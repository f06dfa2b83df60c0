-- Drop what has run out.
DELETE FROM protokeep_sessions WHERE expires_at <= :now
