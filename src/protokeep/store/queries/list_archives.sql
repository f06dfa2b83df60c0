-- Lists the archives of a workspace, newest first, without their bodies.
SELECT id, workspace_id, account, chat_id, api_version, name, sha256, bytes, created_at, product_id, mockup_id,
  restored_as, restored_at
FROM protokeep_archives WHERE workspace_id = :workspace_id
ORDER BY created_at DESC, id DESC LIMIT :limit
