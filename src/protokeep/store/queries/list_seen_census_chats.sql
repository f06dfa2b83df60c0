-- Lists what is known of some chats of an account.
SELECT chat_id, api_version, content, claim, mark, name, author_id, created_at, updated_at, privacy, is_favorite,
  may_delete, project_id, vercel_project_id, version_id, metadata, web_url, demo_url, picture_url, last_census_id, walk,
  is_missing
FROM protokeep_census_chats WHERE workspace_id = :workspace_id AND account = :account AND chat_id IN :chats
