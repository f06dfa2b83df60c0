-- Hand tracking over at once instead of letting the lease run out.
UPDATE protokeep_accounts SET track_owner = NULL, track_until = NULL
WHERE account = :account AND track_owner = :owner
