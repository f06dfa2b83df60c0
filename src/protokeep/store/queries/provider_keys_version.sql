-- Which version of the keys this is; no row: none was ever set.
SELECT value FROM protokeep_meta WHERE name = 'provider_keys_version'
