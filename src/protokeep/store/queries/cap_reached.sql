-- PostgreSQL: whether a cap forbids one more create.
SELECT 1 FROM protokeep_create_counts c
WHERE c.workspace_id = :workspace_id AND c.kind = :kind{number} AND c.subject = :subject{number}
  AND c.day_at >= :day_at AND c.creates >= :cap{number}
