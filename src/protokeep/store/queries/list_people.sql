-- Lists the people of a workspace: everybody who has, or had, a token in it, or created a prototype. `rank`: the highest
-- role of a valid token, 0 for none.
SELECT user_id, sum(tokens) AS tokens, sum(prototypes) AS prototypes, max(last_used_at) AS last_used_at,
       max(tokens * rank) AS rank
FROM (
  SELECT user_id, CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now) THEN 1 ELSE 0 END AS tokens,
         0 AS prototypes, last_used_at, CASE role WHEN 'admin' THEN 3 WHEN 'maker' THEN 2 ELSE 1 END AS rank
  FROM protokeep_api_tokens WHERE workspace_id = :workspace_id
  UNION ALL
  SELECT created_by, 0, count(*), NULL, 0 FROM protokeep_generations WHERE workspace_id = :workspace_id
  GROUP BY created_by
) AS everybody
WHERE user_id > :after GROUP BY user_id ORDER BY user_id LIMIT :limit
