-- Makes chats that a hook spoke of due for a poll: unfinished ones at once, settled ones at most once a minute, all of
-- them at most once a second. Returns the rows that are ours. The version grows, so that a poll that began before the
-- hook does not overwrite it.
UPDATE protokeep_generations SET
  hook_received_at = :now, version = version + 1,
  next_poll_at = CASE
    WHEN next_poll_at < :now THEN next_poll_at  -- Overdue: its time tells for how long nobody polled.
    WHEN recovery_point = 'accepted' AND (observed_at IS NULL OR observed_at <= :second_ago)
      AND (last_missing_at IS NULL OR last_missing_at <= :second_ago) THEN :now
    WHEN recovery_point = 'accepted' THEN :soon
    WHEN (observed_at IS NULL OR observed_at <= :minute_ago) AND (last_missing_at IS NULL OR last_missing_at <= :minute_ago) THEN :now
    ELSE next_poll_at END
WHERE account = :account AND recovery_point IN ('accepted', 'settled') AND deletion_requested_at IS NULL
  AND deletion_due_at IS NULL
  AND mockup_id IN (SELECT m.id FROM design_mockups m WHERE m.v0_chat_id IN :chats)
RETURNING mockup_id
