-- PostgreSQL: lets one transaction at a time decide which row a chat belongs to. SQLite has one writer anyway.
SELECT 1 AS locked FROM (SELECT pg_advisory_xact_lock(:lock)) AS held
