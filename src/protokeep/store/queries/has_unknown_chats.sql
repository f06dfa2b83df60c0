-- Checks whether the account of some older row is not known.
SELECT 1 AS found FROM protokeep_generations WHERE account = :account LIMIT 1
