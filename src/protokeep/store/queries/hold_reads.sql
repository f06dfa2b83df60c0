-- Looks wait until then, and why, for people.
UPDATE protokeep_accounts SET read_hold_until = :until, read_hold_code = :code, read_hold_message = :message
WHERE account = :account
