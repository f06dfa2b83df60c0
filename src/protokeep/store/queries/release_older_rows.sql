-- Forgets the account of older rows that its present key has never shown, so that every account is asked about them.
UPDATE protokeep_generations SET
  version = version + 1, account = :unknown, missing_since = NULL, missing_polls = 0, last_missing_at = NULL,
  next_poll_at = NULL, created_at = :now
WHERE account = :account AND missing_since < :missing_before AND missing_polls >= 2 AND marker LIKE 'adopted:%'
  AND turn = 1 AND deletion_requested_at IS NULL AND deletion_due_at IS NULL AND (last_shown_at IS NULL OR last_shown_at < :key_since)
