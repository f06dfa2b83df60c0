-- Counts the older rows that are tracked, by what is known of their accounts.
SELECT COUNT(CASE WHEN account <> :account THEN 1 END) AS adopted,
  COUNT(CASE WHEN account = :account AND missing_since IS NULL THEN 1 END) AS looking,
  COUNT(CASE WHEN account = :account AND missing_since IS NOT NULL THEN 1 END) AS not_in_any_account
FROM protokeep_generations WHERE marker LIKE 'adopted:%'
