-- Write what shall be, if nobody moved it meanwhile. No row touched: read again.
UPDATE protokeep_generations SET
  version = version + 1, recovery_point = :recovery_point, attempts = :attempts, lookups = :lookups,
  unknown = :unknown, sent_at = :sent_at, lease_until = :lease_until, next_try_at = :next_try_at,
  hold_code = :hold_code, hold_message = :hold_message, message_id = :message_id, web_url = :web_url,
  demo_url = :demo_url, chat_url = :chat_url, waiting = :waiting, next_poll_at = :next_poll_at,
  poll_count = :poll_count, deadline_at = :deadline_at,
  missing_since = :missing_since, observed_at = :observed_at, settled_at = :settled_at,
  error_code = :error_code, error_message = :error_message,
  rounds = :rounds, follow_up = :follow_up, asked_at = :asked_at, stale_id = :stale_id, before_id = :before_id,
  wrap_up_at = :wrap_up_at, credits = :credits, image_source = :image_source, picture_etag = :picture_etag,
  dead_url = :dead_url, dead_since = :dead_since, dead_looks = :dead_looks, removing_at = :removing_at,
  seen_at = :seen_at, missing_looks = :missing_looks, missed_at = :missed_at,
  known_message_id = :known_message_id
WHERE mockup_id = :mockup_id AND version = :version
