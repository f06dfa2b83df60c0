-- Deletes a prototype for good, with all rows of ours that refer to it, except its events.
DELETE FROM design_mockups WHERE id = :mockup_id
