-- Deletes lines of the audit, while its triggers allow that.
DELETE FROM protokeep_audit WHERE id IN :ids
