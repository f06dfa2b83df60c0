-- Lists the accounts that have a prototype to poll and no tracker with a running lease, other than :owner.
SELECT DISTINCT g.account FROM protokeep_generations g
LEFT JOIN protokeep_accounts a ON a.account = g.account
WHERE g.next_poll_at <= :now
  AND (a.tracker_lease_until IS NULL OR a.tracker_lease_until <= :now OR a.tracker_id = :owner)
