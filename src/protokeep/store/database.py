"""One database, SQLite or PostgreSQL: connections, transactions, and the few words in which they differ."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import TextClause, event
from sqlalchemy.engine import RowMapping, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from protokeep.core.errors import DatabaseUnavailable, NotConfigured
from protokeep.store.driver import (
    INSTANTS,
    PostgresqlConnections,
    PostgresqlSession,
    Row,
    Session,
    as_sqlalchemy,
    instant,
)
from protokeep.store.keyed import KeyedReads, NotQuick, PostgresqlReads, SqliteReads
from protokeep.store.writing import SqliteWrites

#: SQLite has no type for instants: a fixed-width text that sorts.
SQLITE_INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"
#: How long a SQLite connection waits for another process's write.
BUSY_TIMEOUT_MS = 10_000
#: What a close waits for those who still read.
CLOSING_SECONDS = 1.0
#: How soon the journal's mode is asked for again while the file is being opened by others.
JOURNAL_PAUSE_MS = 20

__all__ = ["Database", "Row", "Session", "async_url"]


def async_url(url: str) -> str:
    """`url` with the driver that is used here. Raises `NotConfigured` for what is neither of the two databases."""
    scheme = urlsplit(url).scheme
    if scheme in ("sqlite", "sqlite+aiosqlite"):
        return "sqlite+aiosqlite" + url[len(scheme) :]
    if scheme in ("postgresql", "postgres", "postgresql+asyncpg"):
        return "postgresql+asyncpg" + url[len(scheme) :]
    raise NotConfigured(
        f"PROTOKEEP_DATABASE_URL begins with {scheme or 'nothing'!r}. Use sqlite:///file or postgresql://user@host/name."
    )


class Database:
    """Connections to one database.

    `keyed()` is for hot reads of few rows, `reading()` for any; neither locks. `transaction()` commits as a whole or
    not at all.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        dialect_url = async_url(url)
        parsed = make_url(dialect_url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": pool_size, "pool_recycle": 1800}
        self._keyed: KeyedReads
        if not self.is_sqlite:
            # asyncpg reads the address itself: it knows libpq's parameters (sslmode and so on), SQLAlchemy does not.
            plain_url = dialect_url.replace("+asyncpg", "", 1)
            options["async_creator"] = partial(_connect_postgresql, plain_url)
            self._keyed = PostgresqlReads(PostgresqlConnections(plain_url, pool_size))
            self._connections = PostgresqlConnections(plain_url, 2 * pool_size)
        else:
            self._keyed = SqliteReads(parsed.database or ":memory:")
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options = {"pool_size": 1, "max_overflow": 0}
        self._writing = create_async_engine(parsed, **options)
        if self.is_sqlite:
            options = {"pool_size": 4, "max_overflow": 0}
        self._reading = create_async_engine(
            parsed, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options
        )
        if self.is_sqlite:
            _prepare_sqlite(self._writing, self._reading)
        self._grouped = SqliteWrites(self._writing) if self.is_sqlite else None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """One transaction. SQLite lets one connection write: waiting is fair, and those who wait commit together."""
        with _translating():
            if self._grouped is not None:
                async with self._grouped.transaction() as connection:
                    yield AlchemySession(connection, self.is_sqlite)
            else:
                async with self._connections.taken() as connection:
                    with as_sqlalchemy("COMMIT"):
                        async with connection.transaction():
                            yield PostgresqlSession(connection, self._connections)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AlchemySession]:
        """Single statements, each committed by itself."""
        with _translating():
            async with self._reading.connect() as connection:
                yield AlchemySession(connection, self.is_sqlite)

    async def keyed(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row]:
        """The few rows that a key leads to. `values` are text and numbers: no instants, no lists."""
        try:
            return await self._keyed.rows(statement, values)
        except NotQuick:
            async with self.reading() as session:
                return await session.rows(statement, values)

    async def close(self) -> None:
        await self._keyed.close()
        if not self.is_sqlite:
            await self._connections.close()
        for engine in (self._writing, self._reading):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_given_back(engine), CLOSING_SECONDS)
            await engine.dispose()


class AlchemySession:
    """A session through SQLAlchemy."""

    def __init__(self, connection: AsyncConnection, is_sqlite: bool) -> None:
        self.connection = connection
        self.is_sqlite = is_sqlite

    async def rows(self, statement: Any, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of a statement."""
        result = await self.connection.execute(statement, self._bound(values))
        return [_row(mapping) for mapping in result.mappings()]

    async def row(self, statement: Any, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of a statement, or None."""
        result = await self.connection.execute(statement, self._bound(values))
        mapping = result.mappings().first()
        return None if mapping is None else _row(mapping)

    async def run(self, statement: Any, values: Mapping[str, Any] | None = None) -> int:
        """Execute, and tell how many rows were touched."""
        result = await self.connection.execute(statement, self._bound(values))
        return int(result.rowcount)

    async def run_many(self, statement: Any, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute once per entry of `values`."""
        if values:
            await self.connection.execute(statement, [self._bound(entry) for entry in values])

    async def wait_at_most(self, duration: str) -> None:
        """SQLite has one setting for all (`BUSY_TIMEOUT_MS`)."""

    def _bound(self, values: Mapping[str, Any] | None) -> dict[str, Any]:
        if not values:
            return {}
        if not self.is_sqlite:
            return dict(values)
        return {
            name: value.astimezone(UTC).strftime(SQLITE_INSTANT) if isinstance(value, datetime) else value
            for name, value in values.items()
        }


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    """A database that is not there, or does not answer, is `DatabaseUnavailable`; other errors pass."""
    try:
        yield
    except (OSError, PoolTimeout) as error:
        raise DatabaseUnavailable from error
    except DBAPIError as error:
        if _is_outage(error):
            raise DatabaseUnavailable from error
        raise


def _row(mapping: RowMapping) -> Row:
    row: Row = {}
    for name, value in mapping.items():
        if value is not None:
            if name.endswith(INSTANTS):
                value = instant(value)
            elif name == "id" or name.endswith("_id"):
                value = value if isinstance(value, int) else str(value)
        row[name] = value
    return row


def _is_outage(error: DBAPIError) -> bool:
    """Whether the database is not there, rather than refusing what it was asked."""
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:  # SQLITE_ERROR is a statement of ours that is wrong.
        return str(name).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL"))
    state = str(getattr(error.orig, "sqlstate", None) or "")
    # Connection lost, server going down, out of resources, not accepting connections, no such database.
    outage = state.startswith(("08", "57P", "53")) or state in ("55000", "3D000")
    return outage or error.connection_invalidated or isinstance(error, InterfaceError)


async def _connect_postgresql(url: str) -> Any:
    import asyncpg

    return await asyncpg.connect(url)


async def _given_back(engine: AsyncEngine) -> None:
    """Return when nobody uses a connection any more: a pool closes only those that it holds."""
    while engine.pool.checkedout():  # type: ignore[attr-defined]  # noqa: ASYNC110 - pools tell nobody
        await asyncio.sleep(0.01)


def _use_wal(cursor: Any) -> None:
    """SQLite does not wait by itself while another process opens, recovers or leaves the same file."""
    for left in reversed(range(BUSY_TIMEOUT_MS // JOURNAL_PAUSE_MS)):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if left == 0 or not str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
                raise
            await_only(asyncio.sleep(JOURNAL_PAUSE_MS / 1000))


def _prepare_sqlite(writing: AsyncEngine, reading: AsyncEngine) -> None:
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # Our own BEGIN below, not the driver's.
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(writing.sync_engine, "connect", connect)
    event.listen(reading.sync_engine, "connect", connect)
    event.listen(writing.sync_engine, "begin", begin)
