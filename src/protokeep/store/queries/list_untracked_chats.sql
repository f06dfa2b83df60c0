-- Lists rows of an adopted table that name a chat and are not tracked.
SELECT m.id FROM design_mockups m
WHERE m.v0_chat_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM protokeep_generations g WHERE g.mockup_id = m.id)
LIMIT :limit
