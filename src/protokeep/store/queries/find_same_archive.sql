-- Reads the newest archive of a chat that was made after a time and has the given body.
SELECT id, workspace_id, account, chat_id, api_version, name, sha256, bytes, created_at, product_id, mockup_id,
  restored_as, restored_at
FROM protokeep_archives
WHERE workspace_id = :workspace_id AND account = :account AND chat_id = :chat_id AND sha256 = :sha256
  AND created_at > :since
ORDER BY created_at DESC LIMIT 1
