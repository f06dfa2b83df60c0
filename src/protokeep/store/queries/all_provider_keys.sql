-- The keys of every workspace, sealed.
SELECT workspace_id, user_id, provider, master_id, nonce, ciphertext, hint, set_by, set_at
FROM protokeep_provider_keys
