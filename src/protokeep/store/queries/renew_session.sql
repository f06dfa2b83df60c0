-- Extends a session that is in use.
UPDATE protokeep_sessions SET expires_at = :expires_at WHERE digest = :digest AND kind = 'session'
