-- The database's clock: the one that leases and due times of all hosts are kept by.
SELECT clock_timestamp() AS now_at
