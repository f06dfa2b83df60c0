-- Reads how many calls were counted for an account, without counting any.
SELECT minute_at, minute_calls, day_at, day_calls FROM protokeep_budgets WHERE account = :account
