-- Prototypes whose products have one id, or ids that read the same, newest first.
SELECT mockup_id AS id, product_id FROM protokeep_texts
WHERE workspace_id = :workspace_id AND product_key = :product_key
ORDER BY place DESC LIMIT :limit
