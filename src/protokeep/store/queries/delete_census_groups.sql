-- Deletes the groups of an account, before new ones take their place.
DELETE FROM protokeep_census_groups WHERE workspace_id = :workspace_id AND account = :account
