-- Checks whether an account has another chat that is not missing.
SELECT 1 AS found FROM protokeep_generations g
JOIN design_mockups m ON m.id = g.mockup_id
WHERE g.account = :account AND g.mockup_id <> :mockup_id AND m.v0_chat_id IS NOT NULL AND g.missing_since IS NULL
LIMIT 1
