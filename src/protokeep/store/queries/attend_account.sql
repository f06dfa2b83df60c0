-- This account is looked after at this moment.
INSERT INTO protokeep_accounts (account, provider, alive_at) VALUES (:account, :provider, :now)
ON CONFLICT (account) DO UPDATE SET alive_at = excluded.alive_at
