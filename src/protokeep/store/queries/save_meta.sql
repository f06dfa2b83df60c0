-- Saves one value of the installation.
INSERT INTO protokeep_meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
