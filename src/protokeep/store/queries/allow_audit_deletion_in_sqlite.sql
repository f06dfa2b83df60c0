-- SQLite: lets lines of the audit be deleted until the end of this transaction, which makes the trigger again.
DROP TRIGGER protokeep_audit_no_delete
