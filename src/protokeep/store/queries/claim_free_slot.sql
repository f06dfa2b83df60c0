-- PostgreSQL: take the place of a product that nothing was ever made for, where no cap forbids it. No row back: the
-- claim is not as simple as that, or somebody has the place.
INSERT INTO protokeep_slots (workspace_id, product_id, provider, mockup_id, updated_at)
SELECT :workspace_id, :product_id, :provider, :mockup_id, :now
WHERE set_config('lock_timeout', :wait_at_most, TRUE) IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM design_mockups m WHERE m.product_id = :owners_product_id AND m.provider = :owners_provider){also}
ON CONFLICT (workspace_id, product_id, provider) DO NOTHING
RETURNING mockup_id
