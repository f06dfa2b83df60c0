-- Lists the keys of a workspace, then those of its people.
SELECT workspace_id, user_id, provider, master_id, nonce, ciphertext, hint, set_by, set_at
FROM protokeep_provider_keys WHERE workspace_id = :workspace_id ORDER BY user_id, provider
