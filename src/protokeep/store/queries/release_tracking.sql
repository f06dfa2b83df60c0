-- Ends the tracking lease of a process at once instead of letting it run out.
UPDATE protokeep_accounts SET tracker_id = NULL, tracker_lease_until = NULL
WHERE account = :account AND tracker_id = :owner
