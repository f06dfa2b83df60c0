-- The builder asked for a pause: no looks before then.
UPDATE protokeep_accounts SET read_hold_until = :until WHERE account = :account
