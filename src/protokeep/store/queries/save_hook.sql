-- Saves the hook of an account and API version.
INSERT INTO protokeep_hooks (account, api_version, hook_id, nonce, old_nonce, installed_at)
VALUES (:account, :api_version, :hook, :nonce, :old_nonce, :now)
ON CONFLICT (account, api_version) DO UPDATE SET
  hook_id = excluded.hook_id, nonce = excluded.nonce, old_nonce = excluded.old_nonce,
  installed_at = excluded.installed_at
