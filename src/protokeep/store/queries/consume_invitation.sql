-- Uses up an invitation: whoever deletes its row is let in.
DELETE FROM protokeep_invitations WHERE digest = :digest AND expires_at > :now
RETURNING digest
