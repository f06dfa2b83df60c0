-- Checks whether something unfinished has a time in the future: a process wrote it before it noticed that the
-- database's clock was set back.
SELECT mockup_id FROM protokeep_generations
WHERE recovery_point IN ('claimed', 'sent') AND (created_at > :latest OR sent_at > :latest OR follow_up_at > :latest)
UNION ALL
SELECT mockup_id FROM protokeep_generations
WHERE next_poll_at IS NOT NULL AND (created_at > :latest OR observed_at > :latest OR follow_up_at > :latest)
LIMIT 1
