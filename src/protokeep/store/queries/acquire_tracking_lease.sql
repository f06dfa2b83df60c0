-- Makes a process the only tracker of an account, or renews its lease. No row: another process holds the lease.
INSERT INTO protokeep_accounts (account, provider, tracker_id, tracker_lease_until)
VALUES (:account, :provider, :owner, :until)
ON CONFLICT (account) DO UPDATE
SET tracker_id = excluded.tracker_id, tracker_lease_until = excluded.tracker_lease_until
WHERE protokeep_accounts.tracker_id = excluded.tracker_id
   OR protokeep_accounts.tracker_lease_until IS NULL OR protokeep_accounts.tracker_lease_until <= :now
RETURNING account
