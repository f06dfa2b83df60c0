-- The pause is over: exactly one create may find out whether the account works again.
UPDATE protokeep_accounts SET hold_until = :until
WHERE account = :account AND hold_code IS NOT NULL AND hold_until <= :now
RETURNING account
