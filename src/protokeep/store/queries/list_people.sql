-- Lists the people of a workspace: everybody who has, or had, a token in it, created a prototype, or is signed in. `rank`:
-- the highest role of a valid token, 0 for none.
SELECT user_id, sum(tokens) AS tokens, sum(prototypes) AS prototypes, max(last_used_at) AS last_used_at,
       max(tokens * rank) AS rank
FROM (
  SELECT user_id, CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now) THEN 1 ELSE 0 END AS tokens,
         0 AS prototypes, last_used_at, CASE role WHEN 'admin' THEN 3 WHEN 'maker' THEN 2 ELSE 1 END AS rank
  FROM protokeep_api_tokens WHERE workspace_id = :workspace_id
  UNION ALL
  SELECT created_by, 0, count(*), NULL, 0 FROM protokeep_generations WHERE workspace_id = :workspace_id
  GROUP BY created_by
  UNION ALL
  SELECT user_id, 0, 0, max(created_at), 0 FROM protokeep_sessions
  WHERE kind = 'session' AND workspace_id = :workspace_id GROUP BY user_id
  UNION ALL
  SELECT t.user_id, 0, 0, max(s.created_at), 0 FROM protokeep_sessions s JOIN protokeep_api_tokens t ON t.id = s.token_id
  WHERE s.kind = 'session' AND t.workspace_id = :workspace_id GROUP BY t.user_id
) AS everybody
WHERE user_id > :after GROUP BY user_id ORDER BY user_id LIMIT :limit
