-- Pauses the polls and look-ups of an account, with a reason for people.
INSERT INTO protokeep_accounts (account, provider, polling_paused_until, polling_paused_code, polling_paused_message)
VALUES (:account, :provider, :until, :code, :message)
ON CONFLICT (account) DO UPDATE SET
  polling_paused_until = excluded.polling_paused_until, polling_paused_code = excluded.polling_paused_code,
  polling_paused_message = excluded.polling_paused_message
