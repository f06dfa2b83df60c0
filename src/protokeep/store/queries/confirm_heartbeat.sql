-- Counts a delivery as a heartbeat, so that its loss is noticed. No row: this database does not know the last heartbeat
-- of this process.
UPDATE protokeep_processes SET beat = beat + 1 WHERE process_id = :process_id AND beat >= :beat
RETURNING beat
