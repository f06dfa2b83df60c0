-- PostgreSQL that does not tell which server it is: reads its clock, and which database this is.
SELECT clock_timestamp() AS now_at, 'database:' || (SELECT oid FROM pg_database WHERE datname = current_database()) AS server
