-- Gives the provider keys a new version. Every process reads the keys again when it has changed.
INSERT INTO protokeep_meta (name, value) VALUES ('provider_keys_version', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
