-- A session goes on while it is used.
UPDATE protokeep_sessions SET expires_at = :expires_at WHERE digest = :digest AND kind = 'session'
