-- SQLite: makes the trigger again that the migration made, word for word.
CREATE TRIGGER protokeep_audit_no_delete BEFORE DELETE ON protokeep_audit BEGIN SELECT RAISE(ABORT, 'protokeep_audit is append-only'); END
