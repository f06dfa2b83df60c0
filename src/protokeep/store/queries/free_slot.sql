-- Frees the slot of a prototype that is being deleted: the next create makes a new one.
DELETE FROM protokeep_slots WHERE mockup_id = :mockup_id
