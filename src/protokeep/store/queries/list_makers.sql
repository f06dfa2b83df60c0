-- Lists the people of a workspace who asked for prototypes. Each is one look into the index, however many they asked for.
WITH RECURSIVE found (created_by) AS (
  SELECT min(created_by) FROM protokeep_generations WHERE workspace_id = :workspace_id
  UNION ALL
  SELECT (SELECT min(g.created_by) FROM protokeep_generations g
          WHERE g.workspace_id = :workspace_id AND g.created_by > found.created_by)
  FROM found WHERE found.created_by IS NOT NULL
)
SELECT created_by FROM found WHERE created_by IS NOT NULL LIMIT :limit
