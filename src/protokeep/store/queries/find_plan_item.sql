-- The item of a plan for a chat.
SELECT * FROM protokeep_plan_items WHERE plan_id = :plan_id AND chat_id = :chat_id
