-- Defers the next poll of chats that a hook said have begun: hooks reach us, so a hook will announce the end too. Only the
-- first such hook defers, because a poll that every hook defers would never come.
UPDATE protokeep_generations SET
  hook_received_at = :now,
  next_poll_at = CASE
    WHEN next_poll_at > :now AND (hook_received_at IS NULL OR hook_received_at < COALESCE(follow_up_at, created_at)) THEN :later
    ELSE next_poll_at END
WHERE account = :account AND recovery_point = 'accepted' AND next_poll_at IS NOT NULL
  AND mockup_id IN (SELECT m.id FROM design_mockups m WHERE m.v0_chat_id IN :chats)
RETURNING mockup_id
