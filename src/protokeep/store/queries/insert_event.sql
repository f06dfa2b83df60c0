-- Adds an event to the history of a prototype: what happened, when, because of whom.
INSERT INTO protokeep_events (workspace_id, product_id, mockup_id, kind, source, actor, status, data, at)
VALUES (:workspace_id, :product_id, :mockup_id, :kind, :source, :actor, :status, :data, :at)
RETURNING id
