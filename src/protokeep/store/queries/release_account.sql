-- Removes the hold of an account at which a create was accepted. No row touched: the account had no hold.
UPDATE protokeep_accounts SET hold_code = NULL, hold_message = NULL, hold_until = NULL, failures = 0
WHERE account = :account AND (hold_code IS NOT NULL OR failures > 0)
