-- Lets one process register a hook: for an account without a hook, or with a hook that was installed at
-- :previous_installed_at. No row: another process does.
INSERT INTO protokeep_hooks (account, api_version, hook_id, nonce, old_nonce, installed_at)
VALUES (:account, :api_version, '', :nonce, NULL, :now)
ON CONFLICT (account, api_version) DO UPDATE SET installed_at = excluded.installed_at
WHERE protokeep_hooks.installed_at = :previous_installed_at
RETURNING account
