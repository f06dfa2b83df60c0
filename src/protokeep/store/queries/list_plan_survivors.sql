-- Chats of a group that stay, as far as protokeep knows, when one of its chats is deleted; those seen last come first.
-- What waits in the bin, or is being deleted, does not stay.
SELECT i.chat_id, i.api_version
FROM protokeep_plan_items i
JOIN protokeep_census_chats c
  ON c.workspace_id = :workspace_id AND c.account = i.account AND c.chat_id = i.chat_id
WHERE i.plan_id = :plan_id AND i.group_id = :group_id AND i.chat_id <> :chat_id
  AND (i.action = 'keep' OR (i.state IN ('skipped', 'failed', 'protected') AND i.rule <> 'gone'))
  AND c.is_missing = false AND c.content IN :contents
  AND NOT EXISTS (
      SELECT 1 FROM protokeep_plan_items o
      WHERE o.account = i.account AND o.chat_id = i.chat_id
        AND o.state IN ('deleting', 'deleted', 'restoring', 'restored')
  )
  AND NOT EXISTS (
      SELECT 1 FROM design_mockups m JOIN protokeep_generations g ON g.mockup_id = m.id
      WHERE m.v0_chat_id = i.chat_id
        AND (g.deletion_due_at IS NOT NULL OR g.deletion_requested_at IS NOT NULL)
  )
ORDER BY c.last_seen_at DESC, i.chat_id
LIMIT 20
