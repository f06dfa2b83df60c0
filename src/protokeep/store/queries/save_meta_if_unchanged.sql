-- Saves one value of the installation, unless somebody else changed it since it was read. One that was missing is added.
INSERT INTO protokeep_meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE protokeep_meta.value = :before
