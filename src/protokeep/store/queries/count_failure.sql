-- Counts creates in a row that got no trustworthy answer.
INSERT INTO protokeep_accounts (account, provider, failures) VALUES (:account, :provider, 1)
ON CONFLICT (account) DO UPDATE SET failures = protokeep_accounts.failures + 1
RETURNING failures
