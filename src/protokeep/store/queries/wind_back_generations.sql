-- The database's clock was set back, from `beyond`: whatever was due later is due now, and nothing was seen in the future.
UPDATE protokeep_generations SET
  created_at = CASE WHEN created_at > :beyond THEN :now ELSE created_at END,
  asked_at = CASE WHEN asked_at > :beyond THEN :now ELSE asked_at END,
  lease_until = CASE WHEN lease_until > :leased THEN :leased ELSE lease_until END,
  sent_at = CASE WHEN sent_at > :beyond THEN :now ELSE sent_at END,
  next_try_at = CASE WHEN next_try_at > :beyond THEN :now ELSE next_try_at END,
  next_poll_at = CASE WHEN next_poll_at > :beyond THEN :now ELSE next_poll_at END,
  deadline_at = CASE WHEN deadline_at > :deadline THEN :deadline ELSE deadline_at END,
  watched_until = CASE WHEN watched_until > :beyond THEN :now ELSE watched_until END,
  observed_at = CASE WHEN observed_at > :beyond THEN :now ELSE observed_at END,
  seen_at = CASE WHEN seen_at > :beyond THEN :now ELSE seen_at END,
  missing_since = CASE WHEN missing_since > :beyond THEN :now ELSE missing_since END,
  hooked_at = CASE WHEN hooked_at > :beyond THEN :now ELSE hooked_at END,
  dead_since = CASE WHEN dead_since > :beyond THEN :now ELSE dead_since END,
  wrap_up_at = CASE WHEN wrap_up_at > :beyond THEN :now ELSE wrap_up_at END,
  version = version + 1
WHERE created_at > :beyond OR asked_at > :beyond OR lease_until > :leased OR sent_at > :beyond OR next_try_at > :beyond
   OR next_poll_at > :beyond OR deadline_at > :deadline OR observed_at > :beyond OR missing_since > :beyond OR dead_since > :beyond OR wrap_up_at > :beyond
