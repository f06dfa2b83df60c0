-- Whose a token is, who made it, who made the token that it was made with, and so on.
WITH RECURSIVE chain (id, user_id, made_by, made_with) AS (
  SELECT id, user_id, made_by, made_with FROM protokeep_api_tokens
  WHERE workspace_id = :workspace_id AND id = :token_id
  UNION
  SELECT t.id, t.user_id, t.made_by, t.made_with FROM chain c JOIN protokeep_api_tokens t ON t.id = c.made_with
)
SELECT user_id, made_by FROM chain
