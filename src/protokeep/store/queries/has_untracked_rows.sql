-- Checks whether the owner's table has rows that no claim of ours made: untracked rows, or adopted rows without a slot.
SELECT (SELECT count(*) FROM design_mockups) > (SELECT count(*) FROM protokeep_generations)
    OR EXISTS (SELECT 1 FROM protokeep_generations g WHERE g.marker >= 'adopted:' AND g.marker < 'adopted;'
                AND NOT EXISTS (SELECT 1 FROM protokeep_slots s WHERE s.mockup_id = g.mockup_id)) AS found
