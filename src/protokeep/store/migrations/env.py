"""Alembic's environment. It runs on the connection and in the transaction that `store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from protokeep.store.migrate import VERSION_TABLE, MigrationError

connection = context.config.attributes.get("connection")
if connection is None or context.is_offline_mode():
    raise MigrationError(
        "These revisions look at the database they change and have no offline mode: run `protokeep migrate`. "
        "`protokeep migrate --sql` prints the SQL for design_mockups."
    )

context.configure(connection=connection, version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
