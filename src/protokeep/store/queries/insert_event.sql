-- What happened, when, because of whom or what. Append-only.
INSERT INTO protokeep_events (workspace_id, product_id, mockup_id, kind, source, actor, status, data, at)
SELECT :workspace_id, :product_id, :mockup_id, :kind, :source, :actor, :status, :data, :at
WHERE TRUE
