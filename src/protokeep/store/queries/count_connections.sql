-- PostgreSQL: the connections that our role may open, those that other programs hold, and the processes at work.
SELECT least(
           current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true), '0')::int,
           (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
           (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
       ) AS allowed,
       (SELECT count(*) FROM pg_stat_activity
         WHERE backend_type = 'client backend'
           AND (usename IS DISTINCT FROM current_user OR datname IS DISTINCT FROM current_database())) AS others,
       (SELECT count(*) FROM protokeep_processes WHERE beat_at > now() - interval '10 seconds') AS processes
