-- Saves a generation, guarded by the version that was read. No row touched: it was changed meanwhile.
UPDATE protokeep_generations SET
  version = version + 1, account = :account, api_version = :api_version, recovery_point = :recovery_point, attempts = :attempts, lookups = :lookups,
  outcome_unknown = :outcome_unknown, sent_at = :sent_at, lease_until = :lease_until, next_try_at = :next_try_at,
  hold_code = :hold_code, hold_message = :hold_message, message_id = :message_id, web_url = :web_url,
  demo_url = :demo_url, chat_url = :chat_url, awaiting_input = :awaiting_input, next_poll_at = :next_poll_at,
  poll_count = :poll_count, deadline_at = :deadline_at,
  missing_since = :missing_since, observed_at = :observed_at, settled_at = :settled_at,
  error_code = :error_code, error_message = :error_message,
  turn = :turn, follow_up = :follow_up, follow_up_at = :follow_up_at, previous_message_id = :previous_message_id, baseline_message_id = :baseline_message_id,
  finalize_at = :finalize_at, credits = :credits, image_source = :image_source, picture_etag = :picture_etag,
  broken_url = :broken_url, broken_since = :broken_since, broken_checks = :broken_checks, deletion_requested_at = :deletion_requested_at,
  last_shown_at = :last_shown_at, missing_polls = :missing_polls, last_missing_at = :last_missing_at,
  known_message_id = :known_message_id,
  deletion_due_at = :deletion_due_at, deletion_requested_by = :deletion_requested_by, archive_id = :archive_id,
  variant_name = :variant_name
WHERE mockup_id = :mockup_id AND version = :version
