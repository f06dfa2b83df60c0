-- Saves a chat as a list showed it. Of a foreign one nothing is kept that somebody could read.
INSERT INTO protokeep_census_chats
  (workspace_id, account, chat_id, api_version, content, claim, mark, name, author_id, created_at, updated_at, privacy,
   is_favorite, may_delete, project_id, vercel_project_id, version_id, metadata, web_url, demo_url, picture_url,
   fingerprint, first_census_id, last_census_id, walk, first_seen_at, last_seen_at)
VALUES
  (:workspace_id, :account, :chat_id, :api_version, :content, :claim, :mark, :name, :author_id, :created_at,
   :updated_at, :privacy, :is_favorite, :may_delete, :project_id, :vercel_project_id, :version_id, :metadata, :web_url,
   :demo_url, :picture_url, :fingerprint, :census_id, :census_id, :walk, :now, :now)
ON CONFLICT (workspace_id, account, chat_id) DO UPDATE SET
  api_version = excluded.api_version, content = excluded.content, claim = excluded.claim, mark = excluded.mark,
  name = excluded.name, author_id = excluded.author_id, created_at = excluded.created_at,
  updated_at = excluded.updated_at, privacy = excluded.privacy, is_favorite = excluded.is_favorite,
  may_delete = excluded.may_delete, project_id = excluded.project_id,
  vercel_project_id = excluded.vercel_project_id, version_id = excluded.version_id, metadata = excluded.metadata,
  web_url = excluded.web_url, demo_url = excluded.demo_url, picture_url = excluded.picture_url,
  fingerprint = excluded.fingerprint, last_census_id = excluded.last_census_id, walk = excluded.walk,
  last_seen_at = excluded.last_seen_at, is_missing = false,
  prompt = CASE WHEN excluded.claim = 'foreign' THEN NULL ELSE protokeep_census_chats.prompt END,
  credits = CASE WHEN excluded.claim = 'foreign' THEN NULL ELSE protokeep_census_chats.credits END,
  group_id = CASE WHEN excluded.claim = 'foreign' THEN NULL ELSE protokeep_census_chats.group_id END,
  product_id = CASE WHEN excluded.claim = 'foreign' THEN NULL ELSE protokeep_census_chats.product_id END
