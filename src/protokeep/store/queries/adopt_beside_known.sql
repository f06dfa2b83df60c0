-- Older rows whose chat another row has: they are followed in the account of that row.
UPDATE protokeep_generations SET
  version = version + 1, next_poll_at = :now, missing_since = NULL, missing_polls = 0, last_missing_at = NULL,
  (account, api_version) = (
    SELECT k.account, k.api_version FROM design_mockups o
    JOIN design_mockups m ON m.v0_chat_id = o.v0_chat_id AND m.id <> o.id
    JOIN protokeep_generations k ON k.mockup_id = m.id AND k.account <> :account
    WHERE o.id = protokeep_generations.mockup_id LIMIT 1
  )
WHERE account = :account AND EXISTS (
    SELECT 1 FROM design_mockups o
    JOIN design_mockups m ON m.v0_chat_id = o.v0_chat_id AND m.id <> o.id
    JOIN protokeep_generations k ON k.mockup_id = m.id AND k.account <> :account
    WHERE o.id = protokeep_generations.mockup_id
  )
