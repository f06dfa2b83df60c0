"""Brings a database up to date, under a lock. Doing it again changes nothing and takes no time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from protokeep.core.database_address import plain_address
from protokeep.store import poolers, revisions
from protokeep.store.migrate_sqlite import migrate_sqlite, open_sqlite, sqlite_path, sqlite_revisions
from protokeep.store.owner_changes import (
    LOCKED,
    PAUSE_SECONDS,
    TAKE_TURN,
    apply_change,
    changes_to_adopt,
    record_added,
)
from protokeep.store.revisions import (
    HEADS,
    NOT_ADOPTED,
    OWN_HEAD,
    QUEUE_ADDED,
    TABLE_ADDED,
    TRACKING_HEAD,
    VERSION_TABLE,
    MigrationError,
    Scope,
    explained,
    is_done,
    plain_sql,
    upgrade,
)

if TYPE_CHECKING:
    import asyncpg

__all__ = ["HEADS", "VERSION_TABLE", "MigrationError", "is_migrated", "is_unadopted", "migrate", "plain_sql"]

CONNECT_SECONDS = 15
LOCK_POLL_SECONDS = 0.05
#: The advisory lock of migrations: any number that nobody else uses.
ADVISORY_KEY = 0x70726F746F6B6570

#: Supabase opens new tables to these roles, and so to everybody. Our tables hold tokens, keys and queued work.
SHUT_TO_WEB_ROLES = r"""
DO $$
DECLARE
    web_role record;
    our_table record;
BEGIN
    FOR web_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        FOR our_table IN
            SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = current_schema() AND c.relkind = 'r'
               AND (c.relname LIKE 'protokeep\_%' OR c.relname IN
                    ('pgqueuer', 'pgqueuer_log', 'pgqueuer_statistics', 'pgqueuer_schedules'))
        LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %I', our_table.name, web_role.rolname);
        END LOOP;
    END LOOP;
END
$$
"""


async def migrate(url: str, scope: Scope = "all", *, adopting: bool = True) -> None:
    """Brings the database at `url` up to date.

    `url` is `sqlite:///file` or `postgresql://...`. The scope `all` covers the owner's `design_mockups` and our tables;
    `own` leaves `design_mockups` as it is, which has to exist, for owners who apply the plain .sql. On PostgreSQL the
    tables of the job queue are created or upgraded too. A second process waits up to a minute for the first, and then
    finds nothing to do. Without `adopting`, a `design_mockups` that protokeep has not changed yet stays so, and the
    error says what to do. Raises `MigrationError`.
    """
    url = plain_address(url)
    if not adopting and scope == "all" and await is_unadopted(url):
        raise MigrationError(NOT_ADOPTED)
    if url.startswith("sqlite:"):
        await asyncio.to_thread(migrate_sqlite, sqlite_path(url), HEADS[scope])
    elif url.startswith("postgresql:"):
        await _migrate_postgresql(url, HEADS[scope])
    else:
        raise MigrationError("The database address must begin with sqlite:///file or postgresql://.")


async def is_migrated(url: str, scope: Scope = "all") -> bool:
    """Whether `migrate` would find nothing to do. Changes nothing. Raises `MigrationError`."""
    url = plain_address(url)
    if url.startswith("sqlite:"):
        path = sqlite_path(url)
        if not path.exists():
            return False
        with contextlib.closing(open_sqlite(path)) as file:
            return is_done(sqlite_revisions(file), HEADS[scope])
    async with connected(url) as connection:
        return await _is_current(connection, HEADS[scope])


async def is_unadopted(url: str) -> bool:
    """Whether there is a `design_mockups` that no migration of ours has changed. Raises `MigrationError`."""
    if url.startswith("sqlite:"):
        path = sqlite_path(url)
        if not path.exists():
            return False
        with contextlib.closing(open_sqlite(path)) as file:
            return TRACKING_HEAD not in sqlite_revisions(file) and bool(
                file.execute("SELECT 1 FROM sqlite_master WHERE lower(name) = 'design_mockups'").fetchone()
            )
    if not url.startswith("postgresql:"):
        return False
    async with connected(url) as connection:
        if await connection.fetchval("SELECT to_regclass('design_mockups')") is None:
            return False
        if await connection.fetchval(f"SELECT to_regclass('{VERSION_TABLE}')") is None:
            return True
        found = await connection.fetch(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608
        return TRACKING_HEAD not in {row["version_num"] for row in found}


async def _migrate_postgresql(dsn: str, heads: Sequence[str]) -> None:
    async with connected(dsn) as connection:
        if await _is_current(connection, heads):
            return
    # In a thread with a loop of its own: importing Alembic and planning would block the caller's loop.
    await asyncio.to_thread(lambda: asyncio.run(_migrate_locked(dsn, heads)))


async def _migrate_locked(dsn: str, heads: Sequence[str]) -> None:
    async with locked(dsn), connected(dsn) as connection:
        if await _is_current(connection, heads):
            return
        # The owner's limit is for requests. A table of a million rows is read once to see which words it holds.
        await connection.execute("SET statement_timeout = 0")
        with explained(heads):
            if TRACKING_HEAD in heads:
                await _migrate_owner_table(dsn, connection)
            else:
                await _upgrade_postgresql(dsn, OWN_HEAD)
            await connection.execute(f"SET lock_timeout = '{revisions.LOCK_WAIT_SECONDS}s'")
            await _upgrade_queue(connection)


async def _migrate_owner_table(dsn: str, connection: asyncpg.Connection) -> None:
    """Migrates everything. Our tables come first, because what is added to the owner's table is written down there."""
    is_ours = await connection.fetchval("SELECT to_regclass('design_mockups')") is None
    if is_ours:
        await _upgrade_postgresql(dsn, TRACKING_HEAD)
    await _upgrade_postgresql(dsn, OWN_HEAD)
    if is_ours:
        await record_added(connection, [TABLE_ADDED])
    for change in await changes_to_adopt(connection):
        await record_added(connection, change.adds)
        await apply_change(connection, change, revisions.TABLE_WAIT_SECONDS)
    await _upgrade_postgresql(dsn, TRACKING_HEAD)


async def _upgrade_postgresql(dsn: str, revision: str) -> None:
    """Runs revisions up to `revision` in one transaction, which waits for tables in use a moment at a time."""
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=functools.partial(_connect, dsn), poolclass=NullPool
    )
    ends = time.monotonic() + revisions.TABLE_WAIT_SECONDS
    while True:
        is_last = time.monotonic() >= ends
        try:
            async with engine.begin() as transaction:
                await transaction.exec_driver_sql("SET LOCAL statement_timeout = 0")
                if (await transaction.exec_driver_sql("SELECT to_regclass('design_mockups')")).scalar():
                    for part in TAKE_TURN.split("; "):
                        await transaction.exec_driver_sql(part)
                await transaction.run_sync(upgrade, (revision,))
                await transaction.exec_driver_sql(SHUT_TO_WEB_ROLES)
        except DBAPIError as error:
            if is_last or getattr(error.orig, "sqlstate", None) not in LOCKED:
                raise
        else:
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def _is_current(connection: asyncpg.Connection, heads: Sequence[str]) -> bool:
    import asyncpg

    try:
        row = await connection.fetchrow(
            f"SELECT array(SELECT version_num FROM {VERSION_TABLE}) AS revisions,"  # noqa: S608
            " (SELECT value FROM protokeep_meta WHERE name = 'pgqueuer_version') AS queue"
        )
    except asyncpg.UndefinedTableError:
        return False
    return is_done(set(row["revisions"]), heads) and row["queue"] == version("pgqueuer")


async def _upgrade_queue(connection: asyncpg.Connection) -> None:
    """Creates or upgrades PgQueuer's tables, outside of a transaction, which its enums do not allow."""
    from pgqueuer.queries import Queries

    if await connection.fetchval("SELECT to_regclass('pgqueuer')") is None:
        await record_added(connection, [QUEUE_ADDED])
    await Queries.from_asyncpg_connection(connection).apply_upgrade()
    await connection.execute(SHUT_TO_WEB_ROLES)
    await connection.execute(
        "INSERT INTO protokeep_meta (name, value) VALUES ('pgqueuer_version', $1)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        version("pgqueuer"),
    )


@contextlib.asynccontextmanager
async def locked(dsn: str) -> AsyncIterator[None]:
    """Holds the lock of migrations, on a connection of its own.

    It is a lock of the transaction, not of the session, so that a pooler cannot keep it. It ends with the connection,
    however this process ends.
    """
    ends = time.monotonic() + revisions.LOCK_WAIT_SECONDS
    async with connected(dsn) as connection:
        # Whoever builds an index waits for every transaction that has a snapshot. So a try is a transaction by itself.
        while not await _try_to_lock(connection):
            if time.monotonic() >= ends:
                raise MigrationError(
                    f"Another process has been migrating this database for over {revisions.LOCK_WAIT_SECONDS} seconds. "
                    "Let it finish, then try again."
                )
            await asyncio.sleep(LOCK_POLL_SECONDS)
        yield


async def _try_to_lock(connection: asyncpg.Connection) -> bool:
    """Whether the lock was free. The transaction that has it is left open, and has no snapshot."""
    transaction = connection.transaction()
    await transaction.start()
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", ADVISORY_KEY):
        await transaction.rollback()
        return False
    # A simple query: PostgreSQL keeps the snapshot of an extended one until the next query.
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    return True


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    import asyncpg

    try:
        connection = await _connect(dsn)
    except (OSError, TimeoutError, ValueError, OverflowError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # What asyncpg says of an address that it cannot take apart may repeat a piece of the password.
        speaks = not isinstance(error, ValueError | OverflowError) and bool(str(error))
        reason = str(error) if speaks else type(error).__name__
        raise MigrationError(
            f"Cannot connect to PostgreSQL ({reason}). Is it running, and is PROTOKEEP_DATABASE_URL right?"
        ) from error
    try:
        await _require_session(connection, dsn)
        yield connection
    finally:
        await connection.close()


async def require_sessions(dsn: str) -> None:
    """Raises `MigrationError` where PostgreSQL does not answer, or where a session does not last (see `poolers`)."""
    async with connected(dsn):
        pass


async def _require_session(connection: asyncpg.Connection, dsn: str) -> None:
    """Raises `MigrationError` where another transaction of the connection may be in another session."""
    if await poolers.shares_sessions(connection, functools.partial(_connect, dsn)):
        raise MigrationError(poolers.REFUSAL)


async def _connect(dsn: str) -> asyncpg.Connection:
    import asyncpg

    return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, command_timeout=None, statement_cache_size=0)
