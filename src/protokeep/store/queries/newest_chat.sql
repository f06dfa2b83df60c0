-- The chat that was made last with an account: one that a read has shown, if there is any, and that is not missing.
SELECT m.v0_chat_id AS chat, g.api_version FROM protokeep_generations g
JOIN design_mockups m ON m.id = g.mockup_id
WHERE g.account = :account AND m.v0_chat_id IS NOT NULL AND g.recovery_point IN ('accepted', 'settled')
  AND (g.error_code IS NULL OR g.error_code <> 'gone') AND g.missing_since IS NULL
ORDER BY CASE WHEN g.last_shown_at IS NULL THEN 1 ELSE 0 END, g.created_at DESC LIMIT 1
