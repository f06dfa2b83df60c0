-- Adds a product when it is first used, and gives the next number of a variant. A name that is given later replaces the
-- earlier name. A number is never given twice, even if the variant that had it is deleted.
INSERT INTO protokeep_products (workspace_id, product_id, name, created_at, newest_variant)
VALUES (:workspace_id, :product_id, :name, :now, 1 + COALESCE((
  SELECT max(g.variant) FROM design_mockups m JOIN protokeep_generations g ON g.mockup_id = m.id
  WHERE m.product_id = :product_id AND g.workspace_id = :workspace_id), 0))
ON CONFLICT (workspace_id, product_id) DO UPDATE SET
  name = COALESCE(excluded.name, protokeep_products.name),
  newest_variant = CASE WHEN excluded.newest_variant > protokeep_products.newest_variant
    THEN excluded.newest_variant ELSE protokeep_products.newest_variant + 1 END
RETURNING newest_variant
