-- Lists events that nobody needs any more: of some kinds, before a time, of prototypes that are settled or gone.
-- The newest event of a prototype stays: it says that there was such a prototype.
SELECT e.id FROM protokeep_events e
WHERE e.id > :after AND e.id <= :last AND e.at < :before AND e.kind IN :kinds
  AND EXISTS (SELECT 1 FROM protokeep_events newer WHERE newer.mockup_id = e.mockup_id AND newer.id > e.id)
  AND NOT EXISTS (
    SELECT 1 FROM protokeep_generations g WHERE g.mockup_id = e.mockup_id AND g.recovery_point <> 'settled'
  )
