-- What speaks against the deletion of a chat now, and whether another chat of its group stays.
SELECT
    EXISTS (SELECT 1 FROM protokeep_pins p WHERE p.account = :account AND p.chat_id = :chat_id) AS is_pinned,
    EXISTS (SELECT 1 FROM design_mockups m WHERE m.v0_chat_id = :chat_id) AS has_prototype,
    EXISTS (
        SELECT 1 FROM protokeep_plan_items i
        JOIN protokeep_census_chats c
          ON c.workspace_id = :workspace_id AND c.account = i.account AND c.chat_id = i.chat_id
        WHERE i.plan_id = :plan_id AND i.group_id = :group_id AND i.chat_id <> :chat_id
          AND (i.action = 'keep' OR (i.state IN ('skipped', 'failed', 'protected') AND i.rule <> 'gone'))
          AND c.is_missing = false AND c.content IN :contents
          AND NOT EXISTS (
              SELECT 1 FROM protokeep_plan_items o
              WHERE o.account = i.account AND o.chat_id = i.chat_id
                AND o.state IN ('deleting', 'deleted', 'restoring', 'restored')
          )
    ) AS has_survivor
