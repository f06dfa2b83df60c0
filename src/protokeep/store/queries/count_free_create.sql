-- PostgreSQL: count one create of this UTC day, with the place that was free. A count past its cap would be 0, which
-- the table refuses: then nothing of the whole statement happened. The row is locked first, because there those who
-- wait stand in line; ON CONFLICT alone wakes all of them for each one that gets on.
INSERT INTO protokeep_create_counts (workspace_id, kind, subject, day_at, creates)
SELECT :workspace_id, :kind, :subject, :day_at, 1
FROM (
  SELECT count(*) AS lines FROM (
    SELECT 1 FROM protokeep_create_counts
    WHERE workspace_id = :workspace_id AND kind = :kind AND subject = :subject FOR NO KEY UPDATE) AS line) AS waited
WHERE TRUE AND waited.lines >= 0
ON CONFLICT (workspace_id, kind, subject) DO UPDATE SET
  creates = CASE WHEN protokeep_create_counts.day_at < excluded.day_at THEN 1
                 WHEN protokeep_create_counts.creates < :cap THEN protokeep_create_counts.creates + 1
                 ELSE 0 END,
  day_at = GREATEST(protokeep_create_counts.day_at, excluded.day_at)
