-- Checks whether somebody in a workspace has a name, in capital letters or not.
SELECT (
  EXISTS (SELECT 1 FROM protokeep_api_tokens WHERE workspace_id = :workspace_id AND lower(user_id) = :folded)
  OR EXISTS (SELECT 1 FROM protokeep_generations WHERE workspace_id = :workspace_id AND lower(created_by) = :folded)
  OR EXISTS (SELECT 1 FROM protokeep_provider_keys WHERE workspace_id = :workspace_id AND lower(user_id) = :folded)
  OR EXISTS (SELECT 1 FROM protokeep_sessions WHERE workspace_id = :workspace_id AND lower(user_id) = :folded)
) AS found
