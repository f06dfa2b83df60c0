-- The row that a chat's marker names, and the account that made it.
SELECT mockup_id, account FROM protokeep_generations WHERE marker = :marker
