-- Lists the sealed keys of every workspace.
SELECT workspace_id, user_id, provider, master_id, nonce, ciphertext, hint, set_by, set_at
FROM protokeep_provider_keys
