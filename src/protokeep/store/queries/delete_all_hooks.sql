-- Forgets all hooks: those in a copy of a database call the original.
DELETE FROM protokeep_hooks
