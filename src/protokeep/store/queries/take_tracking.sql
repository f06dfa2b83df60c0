-- One tracker per account. No row back: another one has it.
INSERT INTO protokeep_accounts (account, provider, track_owner, track_until, alive_at)
VALUES (:account, :provider, :owner, :until, :now)
ON CONFLICT (account) DO UPDATE
SET track_owner = excluded.track_owner, track_until = excluded.track_until, alive_at = excluded.alive_at
WHERE protokeep_accounts.track_owner = excluded.track_owner
   OR protokeep_accounts.track_until IS NULL OR protokeep_accounts.track_until <= :now
RETURNING account
