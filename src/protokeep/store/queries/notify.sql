-- PostgreSQL: tells the other processes, when this transaction commits.
SELECT pg_notify(:channel, :payload)
