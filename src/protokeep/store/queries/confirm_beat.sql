-- Count a sending as a beat, so that losing it shows. No row back: the database does not know this process's last beat.
UPDATE protokeep_processes SET beat = beat + 1 WHERE process_id = :process_id AND beat >= :beat
RETURNING beat
