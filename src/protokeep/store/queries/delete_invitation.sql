-- Takes an invitation of a workspace back. No row touched: it was accepted, has expired, or was never there.
DELETE FROM protokeep_invitations WHERE workspace_id = :workspace_id AND digest = :digest
