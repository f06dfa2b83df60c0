-- After the database's clock was set back, from :beyond: leaves no heartbeat in the future.
UPDATE protokeep_processes SET beat_at = :now WHERE beat_at > :beyond
