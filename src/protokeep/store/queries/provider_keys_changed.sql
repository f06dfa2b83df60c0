-- Every process reads the keys again when this has changed.
INSERT INTO protokeep_meta (name, value) VALUES ('provider_keys_version', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
