-- Holds the state of a plan until the end of the transaction. No row: it is in another state.
UPDATE protokeep_plans SET state = state WHERE id = :id AND state = :state
