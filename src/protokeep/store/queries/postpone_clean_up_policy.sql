-- Takes the turn of a standing policy. No row: another process took it.
UPDATE protokeep_clean_up_policies SET next_at = :next_at
WHERE workspace_id = :workspace_id AND account = :account AND next_at = :before
