-- Counts of days that are over mean nothing any more.
DELETE FROM protokeep_create_counts WHERE day_at < :before
