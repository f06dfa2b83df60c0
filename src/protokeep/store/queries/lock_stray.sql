-- PostgreSQL: one transaction at a time decides which row a chat is given to. SQLite has one writer at a time anyway.
SELECT 1 AS locked FROM (SELECT pg_advisory_xact_lock(:line)) AS line
