-- Keeps others from changing a generation until the transaction ends. No row touched: it was changed meanwhile.
UPDATE protokeep_generations SET version = version WHERE mockup_id = :mockup_id AND version = :version
