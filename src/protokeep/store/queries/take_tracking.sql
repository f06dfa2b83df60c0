-- One tracker per account. No row back: another one has it.
INSERT INTO protokeep_accounts (account, provider, track_owner, track_until)
VALUES (:account, :provider, :owner, :until)
ON CONFLICT (account) DO UPDATE
SET track_owner = excluded.track_owner, track_until = excluded.track_until
WHERE protokeep_accounts.track_owner = excluded.track_owner
   OR protokeep_accounts.track_until IS NULL OR protokeep_accounts.track_until <= :now
RETURNING account
