-- The processes that noticed that the database is older, and are not through with comparing.
SELECT process_id FROM protokeep_processes WHERE went_back
