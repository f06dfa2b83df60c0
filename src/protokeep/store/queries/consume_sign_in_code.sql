-- Uses up a sign-in code: whoever deletes its row is signed in.
DELETE FROM protokeep_sessions WHERE digest = :digest AND kind = 'code' AND expires_at > :now
RETURNING token_id
