-- Reads one value of the installation.
SELECT value FROM protokeep_meta WHERE name = :name
