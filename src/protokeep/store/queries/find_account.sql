-- What holds an account back.
SELECT account, hold_code, hold_message, hold_until, failures, polling_paused_until, polling_paused_code
FROM protokeep_accounts WHERE account = :account
