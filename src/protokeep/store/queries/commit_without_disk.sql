-- PostgreSQL: lets the commit of this transaction, which only notifies, wait for no disk. Others who notify wait for it.
SELECT set_config('synchronous_commit', 'off', true)
