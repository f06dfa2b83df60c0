-- Holds the creates of an account until :hold_until, with a reason for people.
INSERT INTO protokeep_accounts (account, provider, hold_code, hold_message, hold_until, failures)
VALUES (:account, :provider, :hold_code, :hold_message, :hold_until, 0)
ON CONFLICT (account) DO UPDATE
SET hold_code = excluded.hold_code, hold_message = excluded.hold_message, hold_until = excluded.hold_until
