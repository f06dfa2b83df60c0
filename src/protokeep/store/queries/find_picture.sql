-- Reads the picture of a prototype.
SELECT content_type, body, etag FROM protokeep_pictures WHERE mockup_id = :mockup_id
