-- Ends one session.
DELETE FROM protokeep_sessions WHERE digest = :digest
