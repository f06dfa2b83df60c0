-- Lets the parked creates of an account go on now.
UPDATE protokeep_generations SET next_try_at = :now
WHERE account = :account AND recovery_point = 'claimed' AND hold_code IS NOT NULL AND next_try_at > :now
