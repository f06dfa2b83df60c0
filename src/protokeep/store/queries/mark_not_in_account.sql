-- Every account was asked about these older rows, and none showed their chats.
UPDATE protokeep_generations SET
  version = version + 1, missing_since = :now, last_missing_at = :now, missing_polls = 1
WHERE account = :account AND missing_since IS NULL
  AND (created_at < :at OR (created_at = :at AND CAST(mockup_id AS text) <= :id))
