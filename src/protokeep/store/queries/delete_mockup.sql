-- Gone, with all of ours that hangs on it but its history.
DELETE FROM design_mockups WHERE id = :mockup_id
