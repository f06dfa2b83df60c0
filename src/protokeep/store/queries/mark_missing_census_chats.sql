-- Marks the chats of one version of the API that the whole reading of its list did not show.
UPDATE protokeep_census_chats SET is_missing = true
WHERE workspace_id = :workspace_id AND account = :account AND api_version = :api_version AND walk <> :walk
  AND is_missing = false
