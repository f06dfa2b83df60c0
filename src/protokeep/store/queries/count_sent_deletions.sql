-- How many deletions of a plan were sent since a time, that of one chat not counted.
SELECT count(*) AS items FROM protokeep_plan_items
WHERE plan_id = :plan_id AND sent_at >= :since AND chat_id <> :chat_id
