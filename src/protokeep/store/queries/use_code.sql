-- A link signs in once: whoever deletes its row is the one.
DELETE FROM protokeep_sessions WHERE digest = :digest AND kind = 'code' AND expires_at > :now
RETURNING token_id
