-- A create was accepted: nothing holds the account back any more. No row touched: nothing did.
UPDATE protokeep_accounts SET hold_code = NULL, hold_message = NULL, hold_until = NULL, failures = 0
WHERE account = :account AND (hold_code IS NOT NULL OR failures > 0)
