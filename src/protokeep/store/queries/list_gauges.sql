-- Lists what metrics say of rows. Every part reads an index of rows that wait, or a small table.
SELECT CASE recovery_point WHEN 'claimed' THEN 'unsent' ELSE 'unanswered' END AS gauge,
  CASE WHEN turn > 1 THEN 'follow_up' ELSE 'create' END AS label, count(*) AS number,
  min(CASE WHEN turn > 1 THEN follow_up_at ELSE created_at END) AS since_at
FROM protokeep_generations WHERE recovery_point IN ('claimed', 'sent') AND deletion_due_at IS NULL GROUP BY 1, 2
UNION ALL
SELECT 'held', hold_code, count(*), NULL FROM protokeep_accounts WHERE hold_code IS NOT NULL GROUP BY hold_code
UNION ALL
SELECT 'paused', polling_paused_code, count(*), NULL FROM protokeep_accounts
WHERE polling_paused_until > :now GROUP BY polling_paused_code
UNION ALL
SELECT * FROM (
  SELECT 'day', account, day_calls, CAST(NULL AS timestamptz) FROM protokeep_budgets
  WHERE day_at = :day_at AND account NOT LIKE :clean_up ORDER BY day_calls DESC, account LIMIT :most
) AS of_day
UNION ALL
SELECT * FROM (
  SELECT 'minute', account, CASE WHEN minute_at = :minute_at THEN minute_calls ELSE 0 END, CAST(NULL AS timestamptz)
  FROM protokeep_budgets
  WHERE day_at = :day_at AND account NOT LIKE :clean_up ORDER BY day_calls DESC, account LIMIT :most
) AS of_minute
UNION ALL
SELECT 'bin', '', count(*), NULL FROM protokeep_generations WHERE deletion_due_at IS NOT NULL
UNION ALL
SELECT 'deleting', '', count(*), min(deletion_requested_at) FROM protokeep_generations
WHERE deletion_requested_at IS NOT NULL
UNION ALL
SELECT 'surplus', '', count(*), NULL FROM protokeep_surplus_chats
UNION ALL
SELECT 'census', state, count(*), NULL FROM protokeep_censuses WHERE state IN ('running', 'paused') GROUP BY state
UNION ALL
SELECT 'plan', state, count(*), NULL FROM protokeep_plans
WHERE state IN ('draft', 'approved', 'applying', 'paused') GROUP BY state
