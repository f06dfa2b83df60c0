-- Saves the columns that people see. The generation's version was checked in the same transaction.
UPDATE design_mockups SET
  v0_chat_id = :chat_id, v0_project_id = :project_id, project_status = :status, project_url = :project_url{touched}
WHERE id = :mockup_id
