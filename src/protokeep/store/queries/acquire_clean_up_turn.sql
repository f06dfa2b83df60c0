-- Makes a process the one that works on the plans of an account. No row: another process has the turn.
INSERT INTO protokeep_clean_up_turns (account, owner, until) VALUES (:account, :owner, :until)
ON CONFLICT (account) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE protokeep_clean_up_turns.owner = excluded.owner OR protokeep_clean_up_turns.until <= :now
RETURNING account
