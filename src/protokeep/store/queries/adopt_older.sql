-- Begins to track older rows that name a chat or a project, newest first. Which account the chat is in is not known yet.
-- Nothing in the owner's table changes. Chats from before protokeep belong to the provider's API v1.
INSERT INTO protokeep_generations
  (mockup_id, workspace_id, provider, account, api_version, marker, created_by, recovery_point, error_code,
   error_message, created_at)
SELECT m.id, {workspace}, m.provider, :account, 1, 'adopted:' || CAST(m.id AS text),
  COALESCE(CAST(m.user_id AS text), ''),
  CASE WHEN m.project_status IN ('completed', 'failed') THEN 'settled' ELSE 'accepted' END,
  CASE m.project_status WHEN 'failed' THEN 'failed' WHEN 'timeout' THEN 'timeout' END,
  CASE m.project_status WHEN 'failed' THEN 'It failed before protokeep, which knows no reason.'
    WHEN 'timeout' THEN 'It timed out before protokeep, and is looked at again.' END,
  :now
FROM design_mockups m
WHERE {unadopted}{only}
ORDER BY {made_at} DESC, m.id DESC LIMIT :limit
ON CONFLICT (mockup_id) DO NOTHING
RETURNING mockup_id
