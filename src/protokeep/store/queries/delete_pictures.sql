-- Deletes pictures.
DELETE FROM protokeep_pictures WHERE mockup_id IN :mockup_ids
