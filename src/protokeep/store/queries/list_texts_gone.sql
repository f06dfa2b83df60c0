-- Texts of prototypes that are not there any more.
SELECT x.place, x.workspace_id, x.text FROM protokeep_texts x
WHERE NOT EXISTS (SELECT 1 FROM design_mockups m WHERE m.id = x.mockup_id) LIMIT :limit
