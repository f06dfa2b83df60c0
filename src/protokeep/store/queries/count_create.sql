-- Counts one create of this UTC day against a quota. A new day begins at zero. No row: the quota is reached.
INSERT INTO protokeep_create_counts (workspace_id, kind, subject, day_at, creates)
VALUES (:workspace_id, :kind, :subject, :day_at, 1)
ON CONFLICT (workspace_id, kind, subject) DO UPDATE SET
  creates = 1 + CASE WHEN protokeep_create_counts.day_at < excluded.day_at THEN 0
                     ELSE protokeep_create_counts.creates END,
  day_at = CASE WHEN protokeep_create_counts.day_at < excluded.day_at THEN excluded.day_at
                ELSE protokeep_create_counts.day_at END
WHERE protokeep_create_counts.day_at < excluded.day_at OR protokeep_create_counts.creates < :quota
RETURNING creates
