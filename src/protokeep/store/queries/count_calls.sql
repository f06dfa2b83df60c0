-- Counts calls against the minute and the day of an account, and returns the totals of all processes. A new minute or
-- day begins at zero.
INSERT INTO protokeep_budgets (account, minute_at, minute_calls, day_at, day_calls)
VALUES (:account, :minute_at, :calls, :day_at, :calls)
ON CONFLICT (account) DO UPDATE SET
  minute_calls = excluded.minute_calls
    + CASE WHEN protokeep_budgets.minute_at = excluded.minute_at THEN protokeep_budgets.minute_calls ELSE 0 END,
  day_calls = excluded.day_calls
    + CASE WHEN protokeep_budgets.day_at = excluded.day_at THEN protokeep_budgets.day_calls ELSE 0 END,
  minute_at = excluded.minute_at, day_at = excluded.day_at
RETURNING minute_calls, day_calls
