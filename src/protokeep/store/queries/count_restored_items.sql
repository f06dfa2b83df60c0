-- How many chats of a plan were made again since a time.
SELECT count(*) AS items FROM protokeep_plan_items
WHERE plan_id = :plan_id AND state = 'restored' AND changed_at >= :since
