-- Lists prototypes whose picture may go: settled before a time, neither current nor in the bin. The table of pictures
-- itself is not read, since its rows are large.
SELECT g.mockup_id FROM protokeep_generations g
WHERE g.picture_etag IS NOT NULL AND g.recovery_point = 'settled' AND g.settled_at < :before
  AND g.deletion_due_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM protokeep_slots s WHERE s.mockup_id = g.mockup_id)
LIMIT :limit
