-- Saves the key of an owner at a provider, in place of the previous one.
INSERT INTO protokeep_provider_keys
  (workspace_id, user_id, provider, master_id, nonce, ciphertext, hint, set_by, set_at)
VALUES (:workspace_id, :user_id, :provider, :master_id, :nonce, :ciphertext, :hint, :set_by, :set_at)
ON CONFLICT (workspace_id, user_id, provider) DO UPDATE SET
  master_id = excluded.master_id, nonce = excluded.nonce, ciphertext = excluded.ciphertext, hint = excluded.hint,
  set_by = excluded.set_by, set_at = excluded.set_at
