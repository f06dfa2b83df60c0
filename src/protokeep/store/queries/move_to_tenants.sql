-- Moves prototypes of the default workspace to the workspaces of their rows' tenants.
UPDATE protokeep_generations SET
  workspace_id = (SELECT CAST(m.tenant_id AS text) FROM design_mockups m WHERE m.id = protokeep_generations.mockup_id),
  version = version + 1
WHERE workspace_id = :workspace_id AND EXISTS (
    SELECT 1 FROM design_mockups m WHERE m.id = protokeep_generations.mockup_id AND m.tenant_id IS NOT NULL
  )
