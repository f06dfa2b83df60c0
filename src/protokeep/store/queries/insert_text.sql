-- SQLite: adds a text to the index. No row touched: its place is taken, or the prototype is indexed.
INSERT INTO protokeep_texts (place, mockup_id, workspace_id, product_id, product_key, text)
VALUES (:place, :mockup_id, :workspace_id, :product_id, :product_key, :text)
ON CONFLICT DO NOTHING
