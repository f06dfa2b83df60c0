-- Moves the slots of prototypes that were moved to the workspaces of their tenants, unless another one is there.
UPDATE protokeep_slots SET
  workspace_id = (SELECT g.workspace_id FROM protokeep_generations g WHERE g.mockup_id = protokeep_slots.mockup_id)
WHERE workspace_id = :workspace_id AND NOT EXISTS (
    SELECT 1 FROM protokeep_generations g JOIN protokeep_slots t ON t.workspace_id = g.workspace_id
    WHERE g.mockup_id = protokeep_slots.mockup_id AND t.product_id = protokeep_slots.product_id
      AND t.provider = protokeep_slots.provider
  ) AND EXISTS (
    SELECT 1 FROM protokeep_generations g
    WHERE g.mockup_id = protokeep_slots.mockup_id AND g.workspace_id <> :workspace_id
  )
