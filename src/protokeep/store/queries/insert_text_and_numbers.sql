-- PostgreSQL: adds a text to the index. No row touched: its place is taken, or the prototype is indexed.
INSERT INTO protokeep_texts (place, mockup_id, workspace_id, product_id, product_key, text, numbers)
VALUES (:place, :mockup_id, :workspace_id, :product_id, :product_key, :text, :numbers)
ON CONFLICT DO NOTHING
