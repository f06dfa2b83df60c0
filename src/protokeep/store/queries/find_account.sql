-- What holds an account back.
SELECT account, hold_code, hold_message, hold_until, failures, read_hold_until, read_hold_code
FROM protokeep_accounts WHERE account = :account
