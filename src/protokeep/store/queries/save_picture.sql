-- Saves the newest picture of a prototype.
INSERT INTO protokeep_pictures (mockup_id, content_type, body, etag, fetched_at)
VALUES (:mockup_id, :content_type, :body, :etag, :now)
ON CONFLICT (mockup_id) DO UPDATE SET
  content_type = excluded.content_type, body = excluded.body, etag = excluded.etag, fetched_at = excluded.fetched_at
