-- Deletes a provider key.
DELETE FROM protokeep_provider_keys
WHERE workspace_id = :workspace_id AND user_id = :user_id AND provider = :provider
