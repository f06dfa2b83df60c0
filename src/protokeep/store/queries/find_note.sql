-- One of the installation's notes.
SELECT value FROM protokeep_meta WHERE name = :name
