-- Adds the generation of a prototype: all that is needed to create its chat once and to follow it. No row touched: the
-- prototype has one.
INSERT INTO protokeep_generations
  (mockup_id, workspace_id, provider, account, api_version, marker, created_by, explicitly_new, recovery_point,
   next_try_at, next_poll_at, deadline_at, fence, lease_until, created_at, variant)
VALUES
  (:mockup_id, :workspace_id, :provider, :account, :api_version, :marker, :created_by, :explicitly_new,
   :recovery_point, :next_try_at, :next_poll_at, :deadline_at, :fence, :lease_until, :created_at,
   :variant)
ON CONFLICT (mockup_id) DO NOTHING
