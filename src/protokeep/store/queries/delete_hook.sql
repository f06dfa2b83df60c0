-- Deletes a hook that is no longer registered.
DELETE FROM protokeep_hooks WHERE account = :account AND api_version = :api_version
