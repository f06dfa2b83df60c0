-- Counts the idempotency keys of a workspace, up to a number.
SELECT count(*) AS number FROM (
  SELECT 1 AS one FROM protokeep_idempotency_keys WHERE workspace_id = :workspace_id LIMIT :most
) AS few
