-- PostgreSQL: our tables in which our role lacks a right, or from which row-level security keeps it. Of the audit log,
-- nothing is changed or deleted.
SELECT current_user::text AS role, name, lacks, is_hidden
  FROM (SELECT c.relname::text AS name,
               row_security_active(c.oid)
               AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS is_hidden,
               array_to_string(ARRAY(
                   SELECT needed FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
                    WHERE NOT has_table_privilege(c.oid, needed)
                      AND (c.relname <> 'protokeep_audit' OR needed IN ('SELECT', 'INSERT'))), ', ') AS lacks
          FROM unnest(CAST(:tables AS text[])) AS named JOIN pg_class c ON c.oid = to_regclass(named)) AS found
 WHERE is_hidden OR lacks <> ''
 ORDER BY name
