"""SQLite straight on Python's own driver: connections with a thread each, and sessions on them.

What may wait for the disk or for another process (opening, BEGIN, COMMIT) and what may read much runs in the
connection's thread. A statement of an open transaction, and a read by key, takes less than handing it over, and runs
where it is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from protokeep.store.sql import (
    INSTANTS,
    PATIENCE_SECONDS,
    ConstraintBroken,
    DatabaseError,
    NotQuick,
    Part,
    Row,
    Statement,
    instant,
)

T = TypeVar("T")

#: SQLite has no type for instants: a fixed-width text that sorts.
INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"
#: How long a connection waits for another process's write.
BUSY_SECONDS = 10.0
#: How soon the journal's mode is asked for again while the file is being opened by others.
JOURNAL_PAUSE_SECONDS = 0.02
#: Connections that read at once.
READERS = 4
#: Statements that a connection keeps prepared.
PREPARED = 512
#: After so many statements of a transaction, others have their turn on the event loop.
TURN = 32


class SqliteConnection:
    """One connection and its thread, opened when it is first used."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="protokeep-sqlite")

    @property
    def driver(self) -> sqlite3.Connection:
        """The driver's connection; there is one as soon as something ran on it."""
        if self._opened is None:
            raise RuntimeError("nothing ran on this connection yet")
        return self._opened

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call it in the thread, after whatever was called before, also by somebody who was cancelled meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_connection, function)

    def call_later(self, function: Callable[[sqlite3.Connection], object]) -> None:
        """The same without waiting for it, and without telling of errors."""
        self._thread.submit(self._with_connection, function)

    def close(self) -> None:
        """Close it once all that was called has run; what is under way is broken off."""
        if self._opened is not None:
            self._opened.interrupt()
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _with_connection(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._opened is None:
            self._opened = _open(self._path)
        return function(self._opened)

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


class SqliteSession:
    """A session on a connection: each statement in its thread, or, `at_once`, where it is asked for."""

    is_sqlite = True

    def __init__(self, connection: SqliteConnection, *, at_once: bool) -> None:
        self._connection = connection
        self._at_once = at_once
        self._ran = 0

    async def rows(self, statement: Statement, values: Mapping[str, Any] | None = None) -> list[Row]:
        sql, bound = statement.for_sqlite, _bound(values)
        return await self._call(sql, lambda connection: _rows(connection.execute(sql, bound)))

    async def row(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.rows(statement, values)
        return rows[0] if rows else None

    async def run(self, statement: Statement, values: Mapping[str, Any] | None = None) -> int:
        sql, bound = statement.for_sqlite, _bound(values)
        return await self._call(sql, lambda connection: int(connection.execute(sql, bound).rowcount))

    async def run_many(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> None:
        sql, bound = statement.for_sqlite, [_bound(entry) for entry in values]
        await self._call(sql, lambda connection: connection.executemany(sql, bound))

    async def together(self, parts: Sequence[Part], *, if_first: bool = False) -> list[int]:
        touched: list[int] = []
        for statement, values in parts:
            if if_first and touched and not touched[0]:
                return touched + [0] * (len(parts) - 1)
            returns = "RETURNING" in statement.text
            touched.append(len(await self.rows(statement, values)) if returns else await self.run(statement, values))
        return touched

    async def wait_at_most(self, duration: str) -> None:
        """SQLite has one setting for all (`BUSY_SECONDS`)."""

    async def _call(self, sql: str, function: Callable[[sqlite3.Connection], T]) -> T:
        with named(sql):
            if not self._at_once:
                return await self._connection.call(function)
            self._ran += 1
            if self._ran % TURN == 0:
                await asyncio.sleep(0)
            return function(self._connection.driver)


class SqliteReads:
    """Connections that read. Under WAL no writer holds them up."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[SqliteConnection] = []
        self._room = asyncio.Semaphore(READERS)
        self._quick: sqlite3.Connection | None = None
        self._closed = False

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[SqliteSession]:
        """A connection for single statements. Whoever is cancelled breaks its statement off."""
        async with asyncio.timeout(PATIENCE_SECONDS) if self._room.locked() else contextlib.nullcontext():
            await self._room.acquire()
        connection = self._idle.pop() if self._idle else SqliteConnection(self._path)
        finished = False
        try:
            yield SqliteSession(connection, at_once=False)
            finished = True
        except Exception:
            finished = True
            raise
        finally:
            if finished and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()
            self._room.release()

    async def keyed(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """The few rows that a key leads to, read by the event loop itself. Raises `NotQuick` instead of waiting."""
        return self._asked(statement, values, _rows)

    async def bare(self, statement: Statement, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The same as values in the order of the columns; instants are text."""
        return self._asked(statement, values, sqlite3.Cursor.fetchall)

    def _asked(self, statement: Statement, values: Mapping[str, Any], read: Callable[[sqlite3.Cursor], T]) -> T:
        try:
            if self._quick is None:
                self._quick = sqlite3.connect(
                    self._path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=PREPARED
                )
            return read(self._quick.execute(statement.for_sqlite, values))
        except sqlite3.Error as error:
            raise NotQuick from error

    async def close(self) -> None:
        """Close those that nobody uses; the others go when they are given back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self._quick is not None:
            self._quick.close()
            self._quick = None


@contextlib.contextmanager
def named(sql: str) -> Iterator[None]:
    """Errors of the driver as the store names them."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ConstraintBroken(sql, error) from error
    except sqlite3.Error as error:
        raise DatabaseError(sql, error) from error


def _bound(values: Mapping[str, Any] | None) -> dict[str, Any]:
    if not values:
        return {}
    return {name: _as_sqlite(value) if isinstance(value, datetime | list) else value for name, value in values.items()}


def _as_sqlite(value: datetime | list[Any]) -> str:
    return json.dumps(value) if isinstance(value, list) else value.astimezone(UTC).strftime(INSTANT)


def _rows(cursor: sqlite3.Cursor) -> list[Row]:
    found = cursor.fetchall()
    if not found:
        return []
    names = tuple(column[0] for column in cursor.description)
    rows: list[Row] = [dict(zip(names, values, strict=True)) for values in found]
    for name in _instants(names):
        for row in rows:
            if row[name] is not None:
                row[name] = instant(row[name])
    return rows


@cache
def _instants(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.endswith(INSTANTS)]


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=PREPARED
    )
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait by itself while another process opens, recovers or leaves the same file."""
    for left in reversed(range(int(BUSY_SECONDS / JOURNAL_PAUSE_SECONDS))):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if left == 0 or not str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
                raise
            time.sleep(JOURNAL_PAUSE_SECONDS)
