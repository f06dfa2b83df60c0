-- Finds the claim in a slot for which nothing was ever sent, unless it was asked for as another one on purpose.
SELECT s.mockup_id FROM protokeep_slots s
JOIN protokeep_generations g ON g.mockup_id = s.mockup_id
WHERE s.workspace_id = :workspace_id AND s.product_id = :product_id AND s.provider = :provider
  AND g.account = :account AND g.recovery_point = 'claimed' AND g.attempts = 0 AND g.turn = 1
  AND g.deletion_requested_at IS NULL AND NOT g.explicitly_new
