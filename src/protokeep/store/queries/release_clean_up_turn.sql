-- Ends the turn of a process.
UPDATE protokeep_clean_up_turns SET until = :now WHERE account = :account AND owner = :owner
