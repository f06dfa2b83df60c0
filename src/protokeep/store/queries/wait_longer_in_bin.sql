-- Lets everything in the bin wait until :due_at at least.
UPDATE protokeep_generations SET deletion_due_at = :due_at, version = version + 1
WHERE deletion_due_at < :due_at AND deletion_requested_at IS NULL
