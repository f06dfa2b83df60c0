-- Looks and look-ups wait until then, and why, for people.
INSERT INTO protokeep_accounts (account, provider, read_hold_until, read_hold_code, read_hold_message)
VALUES (:account, :provider, :until, :code, :message)
ON CONFLICT (account) DO UPDATE SET
  read_hold_until = excluded.read_hold_until, read_hold_code = excluded.read_hold_code,
  read_hold_message = excluded.read_hold_message
