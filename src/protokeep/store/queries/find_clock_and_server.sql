-- PostgreSQL: reads the clock that all hosts share, and which server, timeline and database this is.
SELECT clock_timestamp() AS now_at,
  (SELECT system_identifier FROM pg_control_system()) || ':' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
    || ':' || (SELECT oid FROM pg_database WHERE datname = current_database()) AS server
