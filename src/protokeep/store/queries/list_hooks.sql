-- Lists the hooks that we registered.
SELECT account, api_version, hook_id AS hook, nonce, old_nonce, installed_at FROM protokeep_hooks
ORDER BY account, api_version
