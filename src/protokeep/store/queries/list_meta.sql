-- Lists the values of the installation whose names begin with a prefix.
SELECT name, value FROM protokeep_meta WHERE name LIKE :pattern ORDER BY name
