-- The database's clock was set back, from `beyond`: no beat lies in the future.
UPDATE protokeep_processes SET beat_at = :now WHERE beat_at > :beyond
