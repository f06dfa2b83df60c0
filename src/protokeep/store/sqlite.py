"""SQLite on Python's own driver: one connection that writes and some that read, each with a thread.

Opening, BEGIN and COMMIT may wait for the disk or for another process, and a read may be long: they run in the
connection's thread. A statement of an open transaction and a read by key take less time than the way to a thread and
back, and run on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from protokeep.store.lines import Lines
from protokeep.store.pool_usage import PoolUsage, Waits
from protokeep.store.private_files import create_database
from protokeep.store.sql import (
    CLOSING_SECONDS,
    NO_VALUES,
    WAIT_SECONDS,
    Row,
    Statement,
    Values,
    instant,
    owners_instant,
)

T = TypeVar("T")

#: The errors of the driver.
ERRORS = (sqlite3.Error,)
#: Errors after which nothing was written, and the next try may succeed: the lock of another process, a full disk, a
#: file that may only be read at present.
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_READONLY")
#: Errors of a file that cannot be used.
OUTAGES = (
    *("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_INTERRUPT", "SQLITE_NOMEM", "SQLITE_PERM"),
    *("SQLITE_CORRUPT", "SQLITE_NOTADB"),
)
#: What Python says of a connection that was closed while a statement waited for it. The error has no other sign.
CLOSED = "Cannot operate on a closed database."
#: Columns whose names end in one of these hold instants.
INSTANT_ENDINGS = ("_at", "_until", "_since")
#: Those of them that the owner's table has, too, where they may hold anything.
OWNERS_INSTANTS = ("created_at", "updated_at")
#: How long a connection waits for the write of another process.
BUSY_SECONDS = 10.0
#: How soon WAL mode is asked for again while other processes open the file.
WAL_RETRY_SECONDS = 0.02
#: Connections that read at the same time.
READERS = 4
#: Of these, so many for the requests of one workspace.
READERS_OF_WORKSPACE = READERS - 1
#: Prepared statements that a connection keeps.
PREPARED = 512


class Sqlite:
    """One connection that writes, used in turns, and some that read. Under WAL the writer does not delay readers."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self._writing_lines = Lines(1)
        self._reading_lines = Lines(READERS_OF_WORKSPACE)
        self._writer = SqliteConnection(path, inline=True)
        self._idle_readers: list[SqliteConnection] = []
        self._reader_free = asyncio.Semaphore(READERS)
        self._reading = 0
        self._waits = Waits()
        self._key_reader: sqlite3.Connection | None = None
        self._closed = False

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteConnection]:
        """One transaction, committed as a whole or not at all when the context ends."""
        async with self._writing_lines.mine():
            await _acquire(self._turn)
            try:
                await self._writer.call(_begin)
                self._writer.new_events.clear()
                yield self._writer
                await self._writer.call(_commit)
            except BaseException:
                # In the writer's thread, so behind a BEGIN or COMMIT whose caller was cancelled while it ran.
                self._writer.call_later(_roll_back)
                raise
            finally:
                self._turn.release()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[SqliteConnection]:
        """Single statements on a connection that reads. Cancelling the caller interrupts the statement."""
        async with self._reading_lines.mine(), self._reader() as reader:
            yield reader

    def usage(self) -> PoolUsage:
        """The connections that read, at this moment."""
        return PoolUsage(self._reading, len(self._idle_readers), READERS, self._waits.waiting, self._waits.total)

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[SqliteConnection]:
        async with self._waits.counted(is_full=self._reader_free.locked()):
            await _acquire(self._reader_free)
        self._reading += 1
        reader = self._idle_readers.pop() if self._idle_readers else SqliteConnection(self._path)
        reusable = False
        try:
            yield reader
            reusable = True
        except Exception:
            reusable = True
            raise
        finally:
            if reusable and not self._closed:
                self._idle_readers.append(reader)
            else:
                reader.close()
            self._reading -= 1
            self._reader_free.release()

    async def scan(self, statement: Statement, values: Values, seconds: float) -> list[Row] | None:
        """The rows of one statement; None: it took longer than `seconds` and was interrupted."""
        try:
            async with asyncio.timeout(seconds), self.reading() as reader:
                return await reader.fetch_all(statement, values)
        except TimeoutError:
            return None

    async def read(self, statement: Statement, values: Values) -> list[Row]:
        """The few rows that a key leads to, read on the event loop; by a thread if another process is in the way."""
        try:
            if self._key_reader is None:
                self._key_reader = _connect(self._path, timeout=0.0)
            return _rows(_executed(self._key_reader, statement.for_sqlite, _bound(values)))
        except sqlite3.Error:
            async with self.reading() as reader:
                return await reader.fetch_all(statement, values)

    async def close(self) -> None:
        """Closes all connections; the writer after the transaction that is open, if that ends soon."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS), self._turn:
                pass
        self._writer.close()
        while self._idle_readers:
            self._idle_readers.pop().close()
        if self._key_reader is not None:
            self._key_reader.close()
            self._key_reader = None


class SqliteConnection:
    """A connection and its thread, opened when it is first used."""

    is_sqlite = True

    def __init__(self, path: str, *, inline: bool = False) -> None:
        """`inline`: single statements run on the event loop, because they belong to a transaction that is open."""
        self._path = path
        self._inline = inline
        self._driver: sqlite3.Connection | None = None
        self._closed = False
        self.new_events: list[int] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="protokeep-sqlite")

    async def fetch_all(self, statement: Statement, values: Values = NO_VALUES) -> list[Row]:
        sql, bound = statement.for_sqlite, _bound(values)
        return await self._execute(lambda driver: _rows(_executed(driver, sql, bound)))

    async def fetch_one(self, statement: Statement, values: Values = NO_VALUES) -> Row | None:
        rows = await self.fetch_all(statement, values)
        return rows[0] if rows else None

    async def execute(self, statement: Statement, values: Values = NO_VALUES) -> int:
        sql, bound = statement.for_sqlite, _bound(values)
        return await self._execute(lambda driver: _touched(_executed(driver, sql, bound)))

    async def execute_many(self, statement: Statement, values: Sequence[Values]) -> None:
        sql, bound = statement.for_sqlite, [_bound(entry) for entry in values]
        await self.call(lambda driver: [_touched(_executed(driver, sql, entry)) for entry in bound])

    def after_commit(self, function: Callable[[], None]) -> None:
        """Calls nothing: nobody but this process hears of a commit."""

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Calls a function in the thread, after all earlier calls, including those of cancelled callers."""
        if self._closed:
            raise ConnectionError("the connection was closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_driver, function)

    def call_later(self, function: Callable[[sqlite3.Connection], object]) -> None:
        """Calls a function in the thread without waiting for it; its errors are dropped. Does nothing once closed."""
        if not self._closed:
            self._thread.submit(self._with_driver, function)

    def close(self) -> None:
        """Interrupts the statement that runs, and closes the connection after all earlier calls. May be repeated."""
        if self._closed:
            return
        self._closed = True
        if self._driver is not None:
            self._driver.interrupt()
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    async def _execute(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._inline and self._driver is not None:
            return function(self._driver)
        return await self.call(function)

    def _with_driver(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._driver is None:
            self._driver = _open(self._path)
        return function(self._driver)

    def _close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()


def is_constraint(error: Exception) -> bool:
    """Whether an error says that a constraint of the tables was broken."""
    return isinstance(error, sqlite3.IntegrityError)


def is_busy(error: Exception) -> bool:
    """Whether an error says that nothing was written, and that the next try may succeed."""
    return _name_of(error).startswith(BUSY)


def is_outage(error: Exception) -> bool:
    """Whether an error says that the file cannot be used, rather than that SQLite refused a statement."""
    return _name_of(error).startswith(OUTAGES) or (isinstance(error, sqlite3.ProgrammingError) and str(error) == CLOSED)


def _name_of(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


async def _acquire(lock: asyncio.Lock | asyncio.Semaphore) -> None:
    if lock.locked():
        async with asyncio.timeout(WAIT_SECONDS):
            await lock.acquire()
    else:
        await lock.acquire()


def _begin(driver: sqlite3.Connection) -> None:
    _roll_back(driver)  # What is open now was left by a transaction that the disk did not let roll back.
    driver.execute("BEGIN IMMEDIATE")


def _commit(driver: sqlite3.Connection) -> None:
    driver.execute("COMMIT")


def _roll_back(driver: sqlite3.Connection) -> None:
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def _bound(values: Values) -> dict[str, Any]:
    return {name: _as_sqlite(value) if isinstance(value, datetime | list) else value for name, value in values.items()}


def _as_sqlite(value: datetime | list[Any]) -> str:
    return json.dumps(value) if isinstance(value, list) else _text_of(value)


def _text_of(value: datetime) -> str:
    """SQLite has no type for instants: they are text of a fixed width, which sorts. `strftime` leaves years short."""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _executed(driver: sqlite3.Connection, sql: str, bound: dict[str, Any]) -> sqlite3.Cursor:
    """Executes a statement. A value that SQLite cannot hold is an error of the database, as it is on PostgreSQL."""
    try:
        return driver.execute(sql, bound)
    except (OverflowError, UnicodeEncodeError) as error:
        raise sqlite3.DataError(f"a value cannot be stored: {error}") from error


def _touched(cursor: sqlite3.Cursor) -> int:
    """How many rows a statement touched. `rowcount` says nothing before the rows of RETURNING are fetched."""
    return len(cursor.fetchall()) if cursor.description else cursor.rowcount


def _rows(cursor: sqlite3.Cursor) -> list[Row]:
    fetched = cursor.fetchall()
    if not fetched:
        return []
    names = tuple(column[0] for column in cursor.description)
    rows: list[Row] = [dict(zip(names, values, strict=True)) for values in fetched]
    for name in _instant_columns(names):
        read = owners_instant if name in OWNERS_INSTANTS else instant
        for row in rows:
            if row[name] is not None:
                row[name] = read(row[name])
    return rows


@cache
def _instant_columns(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.endswith(INSTANT_ENDINGS)]


def _connect(path: str, timeout: float) -> sqlite3.Connection:
    if path != ":memory:":
        create_database(Path(path))
    return sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=PREPARED
    )


def _open(path: str) -> sqlite3.Connection:
    driver = _connect(path, BUSY_SECONDS)
    try:
        _use_wal(driver)
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        driver.close()
        raise
    return driver


def _use_wal(driver: sqlite3.Connection) -> None:
    """Sets WAL mode. SQLite does not always wait by itself while another process opens or closes the same file."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            driver.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if time.monotonic() > deadline or not _name_of(error).startswith("SQLITE_BUSY"):
                raise
            time.sleep(WAL_RETRY_SECONDS)
