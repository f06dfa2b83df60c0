-- Saves the columns that people see, as far as they changed (NULL: it did not), so that no word of the owner's is
-- rewritten with our reading of it. The generation's version was checked in the same transaction.
UPDATE design_mockups SET
  v0_chat_id = COALESCE(:chat_id, v0_chat_id), v0_project_id = COALESCE(:project_id, v0_project_id),
  project_status = COALESCE(:status, project_status), project_url = COALESCE(:project_url, project_url){touched}
WHERE id = :mockup_id
