-- Lists creates that were sent and have no chat yet, oldest first.
SELECT marker, created_at, sent_at FROM protokeep_generations
WHERE account = :account AND api_version = :api_version AND recovery_point = 'sent' AND turn = 1
ORDER BY created_at LIMIT :limit
