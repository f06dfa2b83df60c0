-- PostgreSQL: limits how long each further statement of this transaction may take.
SELECT set_config('statement_timeout', :duration, TRUE)
