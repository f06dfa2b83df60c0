-- What is known of the chats of an account. A pin of any workspace that shares the account counts.
SELECT c.*,
    (SELECT min(p.pinned_by) FROM protokeep_pins p WHERE p.account = c.account AND p.chat_id = c.chat_id) AS pinned_by
FROM protokeep_census_chats c WHERE c.workspace_id = :workspace_id AND c.account = :account ORDER BY c.chat_id
