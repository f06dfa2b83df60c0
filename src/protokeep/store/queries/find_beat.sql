-- What this process wrote last; no row: it never wrote, or the database is older than that.
SELECT beat FROM protokeep_processes WHERE process_id = :process_id
