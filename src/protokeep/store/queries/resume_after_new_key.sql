-- Lets everything that waits for an account go on now, deletions too.
UPDATE protokeep_generations SET next_try_at = :now
WHERE account = :account AND hold_code IS NOT NULL AND next_try_at > :now
