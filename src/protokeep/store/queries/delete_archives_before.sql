-- Removes the archives made before a time, except those that a prototype in the bin or an open item of a plan needs.
DELETE FROM protokeep_archives
WHERE workspace_id = :workspace_id AND created_at < :before
  AND NOT EXISTS (SELECT 1 FROM protokeep_generations g WHERE g.archive_id = protokeep_archives.id)
  AND NOT EXISTS (SELECT 1 FROM protokeep_plan_items i
                  WHERE i.archive_id = protokeep_archives.id AND i.state IN ('archived', 'deleting'))
