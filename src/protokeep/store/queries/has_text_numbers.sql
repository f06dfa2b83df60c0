-- SQLite: whether the numbers of texts are kept. A database that was migrated by a SQLite without FTS5 has no such table.
SELECT 1 AS found FROM sqlite_master WHERE name = 'protokeep_text_numbers'
