-- Frees slots of a workspace that hold prototypes of another one.
DELETE FROM protokeep_slots WHERE workspace_id = :workspace_id AND EXISTS (
    SELECT 1 FROM protokeep_generations g
    WHERE g.mockup_id = protokeep_slots.mockup_id AND g.workspace_id <> :workspace_id
  )
