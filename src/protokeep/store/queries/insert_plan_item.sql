-- Adds an item of a plan.
INSERT INTO protokeep_plan_items (plan_id, account, chat_id, api_version, action, rule, reason, fingerprint, name,
    author_id, group_id, credits, state, decided_by, changed_at)
VALUES (:plan_id, :account, :chat_id, :api_version, :action, :rule, :reason, :fingerprint, :name,
    :author_id, :group_id, :credits, :state, :decided_by, :changed_at)
