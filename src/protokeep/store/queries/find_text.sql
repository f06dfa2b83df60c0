-- What the index has of a prototype.
SELECT place, workspace_id, text FROM protokeep_texts WHERE mockup_id = :mockup_id
