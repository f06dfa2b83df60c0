-- Lets exactly one create find out whether an account works again, once its pause is over.
UPDATE protokeep_accounts SET hold_until = :until
WHERE account = :account AND hold_code IS NOT NULL AND hold_until <= :now
RETURNING account
