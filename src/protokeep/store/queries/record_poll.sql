-- Records a poll that changed nothing: when it was, and when the next one is due. The version stays, so that nobody
-- else's change is refused because of it. No row touched: the generation was changed meanwhile.
UPDATE protokeep_generations SET
  observed_at = :observed_at, last_shown_at = :last_shown_at, poll_count = poll_count + 1, next_poll_at = :next_poll_at
WHERE mockup_id = :mockup_id AND version = :version
