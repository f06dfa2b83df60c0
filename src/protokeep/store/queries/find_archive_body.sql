-- Reads the body of an archive.
SELECT body FROM protokeep_archives WHERE id = :id AND workspace_id = :workspace_id
