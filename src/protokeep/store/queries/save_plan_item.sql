-- Changes how far an item is. No row: somebody changed it meanwhile.
UPDATE protokeep_plan_items SET state = :state, rule = :rule, reason = :reason, due_at = :due_at, sent_at = :sent_at,
    undo_by = :undo_by, restored_as = :restored_as, attempts = :attempts, archive_id = :archive_id, answer = :answer,
    decided_by = :decided_by, changed_at = :changed_at, version = version + 1
WHERE plan_id = :plan_id AND chat_id = :chat_id AND version = :version
