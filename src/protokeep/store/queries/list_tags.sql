-- Lists the tags that products of a workspace have. Each is one look into the index, however many products have it.
WITH RECURSIVE found (tag) AS (
  SELECT min(tag) FROM protokeep_product_tags WHERE workspace_id = :workspace_id
  UNION ALL
  SELECT (SELECT min(t.tag) FROM protokeep_product_tags t WHERE t.workspace_id = :workspace_id AND t.tag > found.tag)
  FROM found WHERE found.tag IS NOT NULL
)
SELECT tag FROM found WHERE tag IS NOT NULL LIMIT :limit
