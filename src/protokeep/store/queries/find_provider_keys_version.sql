-- Reads the version of the provider keys. No row: no key was ever set.
SELECT value FROM protokeep_meta WHERE name = 'provider_keys_version'
