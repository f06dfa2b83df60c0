-- Accounts with a look due that nobody tracks right now.
SELECT DISTINCT g.account FROM protokeep_generations g
LEFT JOIN protokeep_accounts a ON a.account = g.account
WHERE g.next_poll_at <= :now
  AND (a.tracker_lease_until IS NULL OR a.tracker_lease_until <= :now OR a.tracker_id = :owner)
