-- PostgreSQL: refuses changes of the audit again.
ALTER TABLE protokeep_audit ENABLE TRIGGER protokeep_audit_append_only
