-- The chats of an account that a plan is about to delete.
SELECT chat_id FROM protokeep_plan_items
WHERE account = :account AND action = 'delete' AND state IN ('waiting', 'archived', 'deleting')
