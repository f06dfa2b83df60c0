-- PostgreSQL: count one create of this UTC day, with the place that was free. A count past its cap would be 0, which
-- the table refuses: then nothing of the whole statement happened. Those who count the same stand in line for a lock:
-- at the row itself each one that gets on would wake all others.
INSERT INTO protokeep_create_counts (workspace_id, kind, subject, day_at, creates)
SELECT :workspace_id, :kind, :subject, :day_at, 1
FROM (SELECT pg_advisory_xact_lock(:line)) AS line
WHERE TRUE
ON CONFLICT (workspace_id, kind, subject) DO UPDATE SET
  creates = CASE WHEN protokeep_create_counts.day_at < excluded.day_at THEN 1
                 WHEN protokeep_create_counts.creates < :cap THEN protokeep_create_counts.creates + 1
                 ELSE 0 END,
  day_at = GREATEST(protokeep_create_counts.day_at, excluded.day_at)
