-- Deletes events.
DELETE FROM protokeep_events WHERE id IN :ids
