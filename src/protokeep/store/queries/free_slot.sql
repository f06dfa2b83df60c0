-- Frees the slot of a prototype that is being deleted, where nothing is left that could have it.
DELETE FROM protokeep_slots WHERE mockup_id = :mockup_id
