-- PostgreSQL: whether this server takes no writes, as the old primary of a fail-over, whose connections stay open.
SELECT current_setting('transaction_read_only') = 'on' AS refuses
