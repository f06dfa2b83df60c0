-- How many chats a plan deleted that were pinned before their deletion was sent.
SELECT count(*) AS items FROM protokeep_plan_items i
WHERE i.plan_id = :plan_id AND i.state IN ('deleted', 'restoring', 'restored')
  AND EXISTS (SELECT 1 FROM protokeep_pins p
              WHERE p.account = i.account AND p.chat_id = i.chat_id AND p.pinned_at < i.sent_at)
