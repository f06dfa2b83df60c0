-- Lists prototypes that wait to be sent or looked up and that no worker holds. Those that were sent come first, so that
-- a lost answer does not wait behind many new requests. Workspaces take turns, so that one with hundreds of rows does not
-- keep another one's waiting. Without next_try_at a submission ended halfway.
SELECT mockup_id, fence, recovery_point FROM (
  SELECT mockup_id, fence, recovery_point, COALESCE(next_try_at, sent_at, created_at) AS due_at,
    row_number() OVER (
      PARTITION BY recovery_point, workspace_id ORDER BY COALESCE(next_try_at, sent_at, created_at)
    ) AS place
  FROM protokeep_generations
  WHERE recovery_point IN ('claimed', 'sent') AND (next_try_at IS NULL OR next_try_at <= :now)
    AND (lease_until IS NULL OR lease_until <= :now)
    AND deletion_due_at IS NULL  -- A follow-up of a prototype in the bin waits until it is taken back.
) AS due
ORDER BY recovery_point DESC, place, due_at LIMIT :limit
