-- Ends a reading of costs. A chat that the report does not name keeps what was known of it.
UPDATE protokeep_census_chats SET credits = costs_read, costs_read = NULL
WHERE workspace_id = :workspace_id AND account = :account AND api_version = :api_version AND costs_read IS NOT NULL
