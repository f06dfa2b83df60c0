-- A page of the items of a plan, by their chats.
SELECT * FROM protokeep_plan_items
WHERE plan_id = :plan_id AND state IN :states AND action IN :actions AND chat_id > :after
ORDER BY chat_id LIMIT :limit
