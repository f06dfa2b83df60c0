-- Removes an archive, unless a prototype in the bin or an open item of a plan needs it.
DELETE FROM protokeep_archives
WHERE id = :id AND workspace_id = :workspace_id AND created_at < :before
  AND NOT EXISTS (SELECT 1 FROM protokeep_generations g WHERE g.archive_id = protokeep_archives.id)
  AND NOT EXISTS (SELECT 1 FROM protokeep_plan_items i
                  WHERE i.archive_id = protokeep_archives.id AND i.state IN ('archived', 'deleting'))
