-- Who we are in the marks that chats carry; survives backups.
SELECT value FROM protokeep_meta WHERE name = 'keeper_id'
