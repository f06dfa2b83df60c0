-- The item in one of these states that may go on since the longest time.
SELECT * FROM protokeep_plan_items
WHERE plan_id = :plan_id AND state IN :states AND due_at <= :now
ORDER BY due_at, chat_id LIMIT 1
