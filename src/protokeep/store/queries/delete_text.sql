-- Takes a text out of the index.
DELETE FROM protokeep_texts WHERE place = :place
