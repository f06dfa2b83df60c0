-- Forgets all processes: those in a copy of a database are at work on the original.
DELETE FROM protokeep_processes
