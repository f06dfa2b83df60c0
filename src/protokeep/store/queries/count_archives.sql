-- Counts the archives of a workspace, and their bytes.
SELECT count(*) AS archives, CAST(COALESCE(sum(bytes), 0) AS bigint) AS bytes
FROM protokeep_archives WHERE workspace_id = :workspace_id
