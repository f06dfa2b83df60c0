-- Finds the generation that a chat's marker names.
SELECT mockup_id, account FROM protokeep_generations WHERE marker = :marker
