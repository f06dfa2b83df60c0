-- The row that a chat's marker names.
SELECT mockup_id FROM protokeep_generations WHERE marker = :marker
