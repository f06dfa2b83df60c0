-- Records that the chat of a create whose answer was lost has been found. The chat is polled from now on. No row
-- touched: the generation was changed meanwhile.
UPDATE protokeep_generations SET
  recovery_point = 'accepted', version = version + 1, outcome_unknown = FALSE, hold_code = NULL, hold_message = NULL,
  error_code = NULL, error_message = NULL, lease_until = NULL, next_try_at = NULL, next_poll_at = :now,
  deadline_at = :deadline_at
WHERE mockup_id = :mockup_id AND version = :version AND recovery_point IN ('claimed', 'sent')
