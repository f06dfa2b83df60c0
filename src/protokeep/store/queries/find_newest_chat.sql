-- Finds the newest chat of an account that is not missing, preferably one that a poll has shown.
SELECT m.v0_chat_id AS chat, g.api_version FROM protokeep_generations g
JOIN design_mockups m ON m.id = g.mockup_id
WHERE g.account = :account AND m.v0_chat_id IS NOT NULL AND g.recovery_point IN ('accepted', 'settled')
  AND (g.error_code IS NULL OR g.error_code <> 'gone') AND g.missing_since IS NULL
ORDER BY CASE WHEN g.last_shown_at IS NULL THEN 1 ELSE 0 END, g.created_at DESC LIMIT 1
