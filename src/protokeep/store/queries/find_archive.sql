-- Reads an archive, without its body.
SELECT id, workspace_id, account, chat_id, api_version, name, sha256, bytes, created_at, product_id, mockup_id,
  restored_as, restored_at
FROM protokeep_archives WHERE id = :id AND workspace_id = :workspace_id
