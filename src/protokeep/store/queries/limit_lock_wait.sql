-- PostgreSQL: limits how long the statements of this transaction wait for a lock. SQLite has one limit for all.
SELECT set_config('lock_timeout', :duration, TRUE)
