-- PostgreSQL: tells the other processes of many changes with one commit.
SELECT count(pg_notify(:channel, payload)) AS told FROM unnest(CAST(:payloads AS text[])) AS payload
