-- Lists products, ordered by their newest current prototype.
SELECT s.product_id FROM protokeep_generations g CROSS JOIN protokeep_slots s
WHERE g.workspace_id = :workspace_id AND s.mockup_id = g.mockup_id
ORDER BY g.created_at DESC, g.mockup_id DESC LIMIT :limit
