-- Lists the processes that noticed that this database is an older copy, and have not finished comparing it.
SELECT process_id FROM protokeep_processes WHERE went_back
