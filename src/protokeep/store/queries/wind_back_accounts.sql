-- After the database's clock was set back, from :beyond: ends pauses of accounts, and shortens tracking leases to the
-- length of a lease.
UPDATE protokeep_accounts SET
  hold_until = CASE WHEN hold_until > :beyond THEN :now ELSE hold_until END,
  polling_paused_until = CASE WHEN polling_paused_until > :beyond THEN :now ELSE polling_paused_until END,
  tracker_lease_until = CASE WHEN tracker_lease_until > :leased THEN :leased ELSE tracker_lease_until END
WHERE hold_until > :beyond OR polling_paused_until > :beyond OR tracker_lease_until > :leased
