-- PostgreSQL where the server does not tell which one it is: its clock, and which database this is.
SELECT clock_timestamp() AS now_at, 'database:' || (SELECT oid FROM pg_database WHERE datname = current_database()) AS server
