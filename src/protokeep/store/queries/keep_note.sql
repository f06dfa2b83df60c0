-- Keep a note of the installation's, in place of the one before.
INSERT INTO protokeep_meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
