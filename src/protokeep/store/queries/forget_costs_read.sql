-- Begins a reading of costs: what one before it has read and not ended counts for nothing.
UPDATE protokeep_census_chats SET costs_read = NULL
WHERE workspace_id = :workspace_id AND account = :account AND api_version = :api_version AND costs_read IS NOT NULL
