-- Take finished prototypes whose picture, cost and links are to be read; they come up again if this process dies.
UPDATE protokeep_generations SET wrap_up_at = :later
WHERE mockup_id IN (
    SELECT g.mockup_id FROM protokeep_generations g WHERE g.wrap_up_at <= :now ORDER BY g.wrap_up_at LIMIT :limit
  ) AND wrap_up_at <= :now
RETURNING mockup_id
