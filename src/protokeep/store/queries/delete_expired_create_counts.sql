-- Deletes the create counts of days that are over.
DELETE FROM protokeep_create_counts WHERE day_at < :before
