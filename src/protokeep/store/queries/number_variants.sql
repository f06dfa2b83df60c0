-- Gives numbers to older rows that have just been adopted, after those that their products' variants have.
UPDATE protokeep_generations SET variant = numbered.number FROM (
  SELECT g.mockup_id, row_number() OVER (PARTITION BY g.workspace_id, m.product_id ORDER BY {made_at}, m.id)
    + COALESCE((SELECT max(o.variant) FROM design_mockups om JOIN protokeep_generations o ON o.mockup_id = om.id
                WHERE om.product_id = m.product_id AND o.workspace_id = g.workspace_id), 0) AS number
  FROM protokeep_generations g JOIN design_mockups m ON m.id = g.mockup_id
  WHERE g.variant IS NULL AND g.account = :account AND g.created_at = :now
) AS numbered WHERE protokeep_generations.mockup_id = numbered.mockup_id
