-- Stores a key again, sealed with another master key. No row touched: the key was changed or removed meanwhile.
UPDATE protokeep_provider_keys SET master_id = :master_id, nonce = :nonce, ciphertext = :ciphertext
WHERE workspace_id = :workspace_id AND user_id = :user_id AND provider = :provider AND nonce = :old_nonce
