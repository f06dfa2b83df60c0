-- Hand tracking over at once instead of letting the lease run out.
UPDATE protokeep_accounts SET tracker_id = NULL, tracker_lease_until = NULL
WHERE account = :account AND tracker_id = :owner
