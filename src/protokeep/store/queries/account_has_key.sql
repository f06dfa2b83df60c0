-- A key was set: whatever held the account back is to be found out anew.
UPDATE protokeep_accounts SET hold_code = NULL, hold_message = NULL, hold_until = NULL, failures = 0,
  read_hold_until = NULL, read_hold_code = NULL, read_hold_message = NULL
WHERE account = :account
