-- Lists the chats that could not be read, by account.
SELECT name, value FROM protokeep_meta WHERE name LIKE 'unreadable:%' ORDER BY name
