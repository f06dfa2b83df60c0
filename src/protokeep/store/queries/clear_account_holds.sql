-- Removes every hold of an account, because it has a new key.
UPDATE protokeep_accounts SET hold_code = NULL, hold_message = NULL, hold_until = NULL, failures = 0,
  polling_paused_until = NULL, polling_paused_code = NULL, polling_paused_message = NULL
WHERE account = :account
