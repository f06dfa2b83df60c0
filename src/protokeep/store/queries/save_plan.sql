-- Changes the state of a plan. No row: somebody changed it meanwhile.
UPDATE protokeep_plans SET state = :state, step_at = :step_at, problem_code = :problem_code, problem = :problem,
    finished_at = :finished_at, slowed_at = :slowed_at, slowdowns = :slowdowns, failures = :failures,
    version = version + 1
WHERE id = :id AND version = :version
