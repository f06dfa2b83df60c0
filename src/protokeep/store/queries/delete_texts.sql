-- Empties the index.
DELETE FROM protokeep_texts
