-- Reads when the next poll of an account is due.
SELECT MIN(next_poll_at) AS due_at FROM protokeep_generations
WHERE account = :account AND next_poll_at IS NOT NULL
