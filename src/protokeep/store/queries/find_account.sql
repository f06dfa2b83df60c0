-- Reads the holds of an account.
SELECT account AS name, hold_code, hold_message, hold_until, failures, polling_paused_until, polling_paused_code
FROM protokeep_accounts WHERE account = :account
