-- Deletes a row that nothing tracks. Its slot goes with it. No row touched: it is gone, or is tracked since a moment ago.
DELETE FROM design_mockups
WHERE id = :mockup_id AND NOT EXISTS (SELECT 1 FROM protokeep_generations g WHERE g.mockup_id = :mockup_id)
