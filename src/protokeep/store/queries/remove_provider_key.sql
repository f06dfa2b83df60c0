-- Nothing of a removed key is kept.
DELETE FROM protokeep_provider_keys
WHERE workspace_id = :workspace_id AND user_id = :user_id AND provider = :provider
