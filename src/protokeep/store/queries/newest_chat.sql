-- The chat that was made last with an account.
SELECT m.v0_chat_id AS chat, g.api_version FROM protokeep_generations g
JOIN design_mockups m ON m.id = g.mockup_id
WHERE g.account = :account AND m.v0_chat_id IS NOT NULL AND g.recovery_point IN ('accepted', 'settled')
  AND (g.error_code IS NULL OR g.error_code <> 'gone')
ORDER BY g.created_at DESC LIMIT 1
