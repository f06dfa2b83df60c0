-- Counts the chats of an account that lists show, by the version of the API that reads them.
SELECT api_version, count(*) AS number FROM protokeep_census_chats
WHERE workspace_id = :workspace_id AND account = :account AND is_missing = false GROUP BY api_version
