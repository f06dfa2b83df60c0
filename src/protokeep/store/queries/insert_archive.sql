-- Adds the copy of a chat.
INSERT INTO protokeep_archives
  (id, workspace_id, account, chat_id, api_version, name, sha256, bytes, body, created_at,
   product_id, mockup_id)
VALUES
  (:id, :workspace_id, :account, :chat_id, :api_version, :name, :sha256, :bytes, :body, :created_at,
   :product_id, :mockup_id)
