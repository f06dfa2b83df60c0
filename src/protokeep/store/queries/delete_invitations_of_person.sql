-- Takes back the invitations that a person made, and those that name the person.
DELETE FROM protokeep_invitations
WHERE workspace_id = :workspace_id AND (invited_by = :user_id OR user_id = :user_id)
