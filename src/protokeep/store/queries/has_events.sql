-- Checks whether a prototype was ever here. One without a row was deleted: by us, or by the owner's own SQL.
SELECT 1 AS found FROM protokeep_events WHERE mockup_id = :mockup_id LIMIT 1
