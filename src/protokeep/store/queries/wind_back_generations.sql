-- After the database's clock was set back, from :beyond: makes due now what was due later, and leaves no observation in
-- the future.
UPDATE protokeep_generations SET
  created_at = CASE WHEN created_at > :beyond THEN :now ELSE created_at END,
  follow_up_at = CASE WHEN follow_up_at > :beyond THEN :now ELSE follow_up_at END,
  lease_until = CASE WHEN lease_until > :leased THEN :leased ELSE lease_until END,
  sent_at = CASE WHEN sent_at > :beyond THEN :now ELSE sent_at END,
  next_try_at = CASE WHEN next_try_at > :beyond THEN :now ELSE next_try_at END,
  next_poll_at = CASE WHEN next_poll_at > :beyond THEN :now ELSE next_poll_at END,
  deadline_at = CASE WHEN deadline_at > :deadline THEN :deadline ELSE deadline_at END,
  watched_until = CASE WHEN watched_until > :beyond THEN :now ELSE watched_until END,
  observed_at = CASE WHEN observed_at > :beyond THEN :now ELSE observed_at END,
  last_shown_at = CASE WHEN last_shown_at > :beyond THEN :now ELSE last_shown_at END,
  missing_since = CASE WHEN missing_since > :beyond THEN :now ELSE missing_since END,
  hook_received_at = CASE WHEN hook_received_at > :beyond THEN :now ELSE hook_received_at END,
  broken_since = CASE WHEN broken_since > :beyond THEN :now ELSE broken_since END,
  finalize_at = CASE WHEN finalize_at > :beyond THEN :now ELSE finalize_at END,
  version = version + 1
WHERE created_at > :beyond OR follow_up_at > :beyond OR lease_until > :leased OR sent_at > :beyond OR next_try_at > :beyond
   OR next_poll_at > :beyond OR deadline_at > :deadline OR observed_at > :beyond OR missing_since > :beyond OR broken_since > :beyond OR finalize_at > :beyond
