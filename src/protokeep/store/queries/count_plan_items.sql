-- How many items of a plan have the same fate, and what their chats had cost.
SELECT action, state, rule, count(*) AS items, sum(credits) AS credits FROM protokeep_plan_items
WHERE plan_id = :plan_id GROUP BY action, state, rule
