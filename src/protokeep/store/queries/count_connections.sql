-- PostgreSQL: the connections that other programs hold, those that they leave to our role, and the processes at work.
-- The limit of a role counts its own connections, that of a database all who work in it.
WITH others AS (
    SELECT count(*) AS everywhere, count(*) FILTER (WHERE datname = current_database()) AS here
      FROM pg_stat_activity
     WHERE backend_type = 'client backend'
       AND (usename IS DISTINCT FROM current_user OR datname IS DISTINCT FROM current_database())
)
SELECT o.everywhere AS others,
       least(
           current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true), '0')::int
           - o.everywhere,
           (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
           (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()) - o.here
       ) AS unclaimed,
       (SELECT count(*) FROM protokeep_processes WHERE beat_at > now() - interval '10 seconds') AS processes
  FROM others AS o
