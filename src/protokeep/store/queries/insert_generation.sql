-- One row per remote generation: everything we must know to make it once and follow it.
INSERT INTO protokeep_generations
  (mockup_id, workspace_id, provider, account, api_version, marker, created_by, recovery_point, next_try_at,
   next_poll_at, deadline_at, fence, lease_until, created_at)
SELECT
  :mockup_id, :workspace_id, :provider, :account, :api_version, :marker, :created_by, :recovery_point,
  :next_try_at, :next_poll_at, :deadline_at, :fence, :lease_until, :now
WHERE TRUE
ON CONFLICT (mockup_id) DO NOTHING
