-- Writes down that prototypes have no picture.
UPDATE protokeep_generations SET picture_etag = NULL, version = version + 1 WHERE mockup_id IN :mockup_ids
