-- Takes finished prototypes whose picture, cost and links are to be read. They are due again at :later if this process
-- dies.
UPDATE protokeep_generations SET finalize_at = :later
WHERE mockup_id IN (
    SELECT g.mockup_id FROM protokeep_generations g WHERE g.finalize_at <= :now ORDER BY g.finalize_at LIMIT :limit
  ) AND finalize_at <= :now
RETURNING mockup_id
