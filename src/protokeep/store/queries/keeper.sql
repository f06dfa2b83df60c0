-- Who we are in the marks that chats carry, and since when; survives backups.
SELECT name, value FROM protokeep_meta WHERE name IN ('keeper_id', 'keeper_made_at')
