-- SQLite: texts of other products that share a band, newest first.
SELECT x.mockup_id AS id, x.text
FROM protokeep_text_numbers CROSS JOIN protokeep_texts x ON x.place = protokeep_text_numbers.rowid
WHERE protokeep_text_numbers MATCH :numbers AND x.workspace_id = :workspace_id AND x.product_id <> :product_id
ORDER BY protokeep_text_numbers.rowid DESC LIMIT :limit
