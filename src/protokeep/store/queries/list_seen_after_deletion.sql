-- Chats of a plan that were deleted, and that a census has seen after that.
SELECT i.chat_id FROM protokeep_plan_items i
JOIN protokeep_census_chats c ON c.workspace_id = :workspace_id AND c.account = i.account AND c.chat_id = i.chat_id
WHERE i.plan_id = :plan_id AND i.state IN ('deleted', 'restoring', 'restored') AND c.last_seen_at > i.sent_at
ORDER BY i.chat_id
