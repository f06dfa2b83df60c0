-- Reads the id of this installation, which chats carry, and since when it exists. Backups keep both.
SELECT name, value FROM protokeep_meta WHERE name IN ('installation_id', 'installed_at')
