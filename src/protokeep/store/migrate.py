"""Brings a database up to date, under a lock. Doing it again changes nothing and takes no time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from protokeep.core.errors import NotReady
from protokeep.store.private_files import create_database, create_folder

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy import Connection

Scope = Literal["all", "own"]

VERSION_TABLE = "protokeep_alembic_version"
#: The newest revision of each branch; a test compares them with the files. Importing Alembic takes a second, so it is
#: imported only when one of them is missing.
TRACKING_HEAD = "20251128000000"
OWN_HEAD = "20251128000100"
HEADS: dict[Scope, tuple[str, ...]] = {"all": (TRACKING_HEAD, OWN_HEAD), "own": (OWN_HEAD,)}

MIGRATIONS = Path(__file__).parent / "migrations"
PLAIN_SQL = MIGRATIONS / "versions" / "20251128000000_add_v0_project_tracking.sql"

#: How long to wait for another process that migrates the same database and may be building an index.
LOCK_WAIT_SECONDS = 60
#: How long a statement may wait for a table in use: all other users of the table wait behind it.
TABLE_WAIT_SECONDS = 5
CONNECT_SECONDS = 15
#: The advisory lock of migrations: any number that nobody else uses.
ADVISORY_KEY = 0x70726F746F6B6570

#: Alembic keeps the migration under way in module globals, so a process migrates one database at a time.
_alembic = threading.Lock()

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


class MigrationError(NotReady):
    """A step failed and was undone; earlier steps hold. The text says what to do before the next try."""


def plain_sql() -> str:
    """The SQL that adds tracking to `design_mockups`, for people who apply SQL themselves (PostgreSQL)."""
    return PLAIN_SQL.read_text(encoding="utf-8")


async def migrate(url: str, scope: Scope = "all") -> None:
    """Brings the database at `url` up to date.

    `url` is `sqlite:///file` or `postgresql://...`. The scope `all` covers the owner's `design_mockups` and our tables;
    `own` leaves out `design_mockups`, which has to exist, for owners who apply the plain .sql. On PostgreSQL the tables
    of the job queue are created or upgraded too. A second process waits up to a minute for the first, and then finds
    nothing to do. Raises `MigrationError`.
    """
    if url.startswith(("sqlite:", "sqlite+aiosqlite:")):
        await asyncio.to_thread(_migrate_sqlite, _sqlite_path(url), HEADS[scope])
    elif url.startswith(("postgresql:", "postgres:", "postgresql+asyncpg:")):
        await _migrate_postgresql(url.replace("postgresql+asyncpg:", "postgresql:", 1), HEADS[scope])
    else:
        raise MigrationError("The database address must begin with sqlite:///file or postgresql://.")


async def is_migrated(url: str, scope: Scope = "all") -> bool:
    """Whether `migrate` would find nothing to do. Changes nothing. Raises `MigrationError`."""
    if url.startswith("sqlite"):
        path = _sqlite_path(url)
        if not path.exists():
            return False
        with contextlib.closing(_open_sqlite(path)) as file:
            return _is_done(_sqlite_revisions(file), HEADS[scope])
    async with _connected(url.replace("postgresql+asyncpg:", "postgresql:", 1)) as connection:
        return await _is_current(connection, HEADS[scope])


# SQLite: everything happens in one transaction, whose write lock is the lock between processes.


def _sqlite_path(url: str) -> Path:
    _, separator, path = url.partition(":///")
    path = path.partition("?")[0]
    if not separator or path in ("", ":memory:"):
        raise MigrationError("SQLite needs a file: sqlite:///here.db or sqlite:////var/lib/there.db.")
    return Path(path)


def _migrate_sqlite(path: Path, heads: Sequence[str]) -> None:
    if path.exists():
        with contextlib.closing(_open_sqlite(path)) as file:
            if _is_done(_sqlite_revisions(file), heads):
                return
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    engine = create_engine("sqlite://", creator=lambda: _open_sqlite(path), poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with _explained():
        create_folder(path.parent)
        with engine.begin() as connection:
            if not _is_done(_sqlite_revisions(connection.connection.driver_connection), heads):
                _upgrade(connection, heads)


def _open_sqlite(path: Path) -> sqlite3.Connection:
    try:
        create_database(path)
        # No isolation level: transactions begin where we say, and contain CREATE TABLE.
        return sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MigrationError(f"Cannot open {path}: {reason}. Is its folder there, and writable?") from error


def _sqlite_revisions(connection: Any) -> set[str]:
    try:
        return {row[0] for row in connection.execute(f"SELECT version_num FROM {VERSION_TABLE}")}  # noqa: S608
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return set()
        raise MigrationError(f"Cannot read the database: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise MigrationError(f"This is no SQLite database, or a damaged one: {error}.") from error


# PostgreSQL.


async def _migrate_postgresql(dsn: str, heads: Sequence[str]) -> None:
    async with _connected(dsn) as connection:
        if await _is_current(connection, heads):
            return
    # In a thread with a loop of its own: importing Alembic and planning would block the caller's loop.
    await asyncio.to_thread(lambda: asyncio.run(_migrate_locked(dsn, heads)))


async def _migrate_locked(dsn: str, heads: Sequence[str]) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async with _locked(dsn), _connected(dsn) as connection:
        if await _is_current(connection, heads):
            return
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=functools.partial(_connect, dsn), poolclass=NullPool
        )
        with _explained():
            async with engine.begin() as transaction:
                await transaction.exec_driver_sql(f"SET LOCAL lock_timeout = '{TABLE_WAIT_SECONDS}s'")
                await transaction.run_sync(_upgrade, heads)
                await transaction.exec_driver_sql(SHUT_TO_WEB_ROLES)
            await connection.execute(f"SET lock_timeout = '{TABLE_WAIT_SECONDS}s'")
            await _upgrade_queue(connection)


async def _is_current(connection: asyncpg.Connection, heads: Sequence[str]) -> bool:
    import asyncpg

    try:
        row = await connection.fetchrow(
            f"SELECT array(SELECT version_num FROM {VERSION_TABLE}) AS revisions,"  # noqa: S608
            " (SELECT value FROM protokeep_meta WHERE name = 'pgqueuer_version') AS queue"
        )
    except asyncpg.UndefinedTableError:
        return False
    return _is_done(set(row["revisions"]), heads) and row["queue"] == version("pgqueuer")


async def _upgrade_queue(connection: asyncpg.Connection) -> None:
    """Creates or upgrades PgQueuer's tables, outside of a transaction, which its enums do not allow."""
    from pgqueuer.queries import Queries

    await Queries.from_asyncpg_connection(connection).apply_upgrade()
    await connection.execute(SHUT_TO_WEB_ROLES)
    await connection.execute(
        "INSERT INTO protokeep_meta (name, value) VALUES ('pgqueuer_version', $1)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        version("pgqueuer"),
    )


@contextlib.asynccontextmanager
async def _locked(dsn: str) -> AsyncIterator[None]:
    """Holds the lock of migrations, on a connection of its own.

    It is a lock of the transaction, not of the session, so that a pooler cannot keep it. It ends with the connection,
    however this process ends.
    """
    import asyncpg

    async with _connected(dsn) as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'")
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        try:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_KEY)
        except asyncpg.LockNotAvailableError as error:
            raise MigrationError(
                f"Another process has been migrating this database for over {LOCK_WAIT_SECONDS} seconds. "
                "Let it finish, then try again."
            ) from error
        yield


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    import asyncpg

    try:
        connection = await _connect(dsn)
    except (OSError, TimeoutError, ValueError, OverflowError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # What asyncpg says of an address that it cannot take apart may repeat a piece of the password.
        speaks = not isinstance(error, ValueError | OverflowError) and bool(str(error))
        reason = str(error) if speaks else type(error).__name__
        raise MigrationError(f"Cannot connect to PostgreSQL ({reason}). Check the address.") from error
    try:
        yield connection
    finally:
        await connection.close()


async def _connect(dsn: str) -> asyncpg.Connection:
    import asyncpg

    return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, command_timeout=None)


# Both.


def _is_done(revisions: set[str], heads: Sequence[str]) -> bool:
    newer = revisions.difference(HEADS["all"])
    if newer and max(newer) > max(HEADS["all"]):
        raise MigrationError(
            f"A newer protokeep has migrated this database (revision {max(newer)}). Use that or a later one."
        )
    return revisions.issuperset(heads)


def _upgrade(connection: Connection, heads: Sequence[str]) -> None:
    """Runs the missing revisions up to `heads`, on this connection and in its transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "protokeep.store:migrations")
    config.set_main_option("path_separator", "os")
    with _alembic:
        for revision in heads:
            command.upgrade(config, revision)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns errors of a database into `MigrationError`, which says what to do."""
    import asyncpg
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, sqlite3.Error, asyncpg.PostgresError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise MigrationError(_advice(getattr(cause, "sqlstate", None), str(cause))) from error


def _advice(sqlstate: str | None, message: str) -> str:
    message = message.rpartition("Error'>: ")[2].strip().rstrip(".")
    match sqlstate:
        case "55P03" | "40P01":
            return f"A table stayed in use for over {TABLE_WAIT_SECONDS} seconds ({message}). Try again."
        case "42501":
            return f"{message}. Migrate as the role that owns design_mockups and may create tables."
        case "42830":
            return "design_mockups.id has neither a primary key nor a unique constraint. Add one, try again."
        case "42703":
            return f"design_mockups lacks a column that its indexes need: {message}. Add it, then try again."
    if message.startswith("database is locked"):
        return f"Another process has been writing here for over {LOCK_WAIT_SECONDS} seconds. Try again."
    return f"The database refused a change, and was left as it was: {message}."
