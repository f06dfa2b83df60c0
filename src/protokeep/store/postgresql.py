"""PostgreSQL on asyncpg and its own pool."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import asyncpg

from protokeep.bus import enable_keepalive
from protokeep.core.connection_limits import ConnectionLimits
from protokeep.store.lines import Lines
from protokeep.store.pool_usage import PoolUsage, Waits
from protokeep.store.sql import CLOSING_SECONDS, NO_VALUES, WAIT_SECONDS, Row, Statement, Values, owners_instant, query

#: Prepared statements that a connection keeps; there are about 150.
PREPARED = 500
#: Connections that the requests of one workspace leave for those of others and for jobs.
FOR_OTHERS = 4
#: How long a connection may take to open: less than the lease of a create, so that a network that swallows everything
#: costs seconds.
CONNECT_SECONDS = 5.0
#: How long, and after which pauses, a server that has no connection left is asked again: one of ours may come back.
FULL_SECONDS = 10.0
FULL_PAUSE_SECONDS = 0.1
#: The errors of asyncpg.
ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
#: The errors of asyncpg for a connection that is lost.
LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
#: A statement was undone because of another transaction (40001, 40P01), a lock (55P03) or a time limit (57014, 25P03,
#: 25P04), because this server takes no writes (25006), as after a fail-over, or because a right is missing (42501).
UNDONE = ("40001", "40P01", "55P03", "57014", "25P03", "25P04", "25006", "42501")
#: Connection lost, server going down, out of resources, trouble with its files.
OUTAGES = ("08", "57P", "53", "58")
#: In recovery, no such database; the role or its password is not accepted (any more).
OTHER_OUTAGES = ("55000", "3D000", "28000", "28P01")


class Postgresql:
    """A pool of connections, which are opened when they are needed and given back when they are idle."""

    def __init__(self, url: str, limits: ConnectionLimits) -> None:
        self._url = url
        self._limits = limits
        self._opening = asyncio.Lock()
        self._waits = Waits()
        self._pool: Any = None
        self._lines = Lines(max(1, limits.for_store - FOR_OTHERS))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresqlConnection]:
        """One transaction. Each of its statements sees what was committed before, whatever the owner's default is."""
        async with self._acquired() as driver:
            async with driver.transaction(isolation="read_committed"):
                connection = PostgresqlConnection(driver)
                yield connection
            connection.committed()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresqlConnection]:
        """Single statements, each committed by itself."""
        async with self._acquired() as connection:
            yield PostgresqlConnection(connection)

    async def scan(self, statement: Statement, values: Values, seconds: float) -> list[Row] | None:
        """The rows of one statement; None: it took longer than `seconds`, and the server ended it.

        The limit is set for the transaction alone, so that it also holds behind a pooler.
        """
        limit = {"duration": f"{seconds * 1000:.0f}ms"}
        try:
            async with self.transaction() as connection:
                await connection.execute(query("limit_statement"), limit)
                return await connection.fetch_all(statement, values)
        except asyncpg.QueryCanceledError:
            return None

    async def read(self, statement: Statement, values: Values) -> list[Row]:
        """The rows of one statement."""
        async with self._acquired() as connection:
            return await PostgresqlConnection(connection).fetch_all(statement, values)

    async def close(self) -> None:
        """Closes the pool. Connections that are still in use after `CLOSING_SECONDS` are broken off."""
        if self._pool is not None:
            with contextlib.suppress(TimeoutError, *LOST):
                async with asyncio.timeout(CLOSING_SECONDS):
                    await self._pool.close()

    def usage(self) -> PoolUsage:
        """The connections of the pool at this moment."""
        return usage_of(self._pool, self._waits)

    @contextlib.asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Any]:
        """A connection out of the pool.

        When it is lost, or its server takes no writes any more, all others are replaced: most likely they are no
        better, and after a fail-over the address leads to another server.
        """
        async with self._lines.mine():
            pool = self._pool or await self._open()
            async with asyncio.timeout(WAIT_SECONDS), self._waits.counted(is_full=is_full(pool)):
                connection = await _acquire(pool)
            try:
                yield connection
            except (*LOST, asyncpg.ReadOnlySQLTransactionError) as error:
                if not isinstance(error, ValueError):  # That one says that a value cannot be sent.
                    await pool.expire_connections()
                raise
            finally:
                with contextlib.suppress(*ERRORS, OSError):  # A connection that cannot be released is closed by that.
                    await pool.release(connection)

    async def _open(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._limits.for_store,
                    max_inactive_connection_lifetime=self._limits.idle_seconds,
                    init=_prepare_connection,
                    reset=_keep_as_is,
                    # Behind a pooler the next transaction may be in a session that has not prepared the statement.
                    statement_cache_size=0 if self._limits.through_pooler else PREPARED,
                    timeout=CONNECT_SECONDS,
                    command_timeout=self._limits.statement_seconds,
                )
        return self._pool


class PostgresqlConnection:
    """Executes statements on a connection of asyncpg's."""

    is_sqlite = False

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.new_events: list[int] = []
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, function: Callable[[], None]) -> None:
        """Calls a function once the transaction is committed, and never if it is not."""
        self._after_commit.append(function)

    def committed(self) -> None:
        """The transaction is committed."""
        for function in self._after_commit:
            function()

    async def fetch_all(self, statement: Statement, values: Values = NO_VALUES) -> list[Row]:
        records = await self._driver.fetch(statement.for_postgresql, *statement.arguments(values))
        return [dict(record) for record in records]

    async def fetch_one(self, statement: Statement, values: Values = NO_VALUES) -> Row | None:
        record = await self._driver.fetchrow(statement.for_postgresql, *statement.arguments(values))
        return None if record is None else dict(record)

    async def execute(self, statement: Statement, values: Values = NO_VALUES) -> int:
        status: str = await self._driver.execute(statement.for_postgresql, *statement.arguments(values))
        touched = status.rpartition(" ")[2]
        return int(touched) if touched.isdigit() else 0

    async def execute_many(self, statement: Statement, values: Sequence[Values]) -> None:
        await self._driver.executemany(statement.for_postgresql, [statement.arguments(entry) for entry in values])


async def _acquire(pool: Any) -> Any:
    """A connection out of the pool. Where the server has none left for us, waits until one of ours comes back.

    Raises `OSError` when none can be opened, whatever the server or a pooler before it calls that.
    """
    ends = time.monotonic() + FULL_SECONDS
    while True:
        try:
            return await pool.acquire()
        except asyncpg.PostgresError as error:
            if not isinstance(error, asyncpg.TooManyConnectionsError) or time.monotonic() > ends:
                raise ConnectionError(f"{type(error).__name__}: {error}") from error
        await asyncio.sleep(FULL_PAUSE_SECONDS)


async def _prepare_connection(connection: Any) -> None:
    """Lets a connection notice silence, and read the types of an adopted table as all other code has them."""
    enable_keepalive(connection)
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
    await connection.set_type_codec("timestamp", schema="pg_catalog", encoder=str, decoder=owners_instant)


def usage_of(pool: Any, waits: Waits) -> PoolUsage:
    """The connections of one of asyncpg's pools; `pool` None: it is not open."""
    if pool is None:
        return PoolUsage(0, 0, 0)
    idle = pool.get_idle_size()
    return PoolUsage(pool.get_size() - idle, idle, pool.get_max_size(), waits.waiting, waits.total)


def is_full(pool: Any) -> bool:
    """Whether whoever asks one of asyncpg's pools for a connection has to wait until another one is done."""
    return bool(pool.get_idle_size() == 0 and pool.get_size() >= pool.get_max_size())


async def _keep_as_is(_connection: Any) -> None:
    """Saves asyncpg's reset query: no setting of ours outlives its transaction, and asyncpg rolls back an open one."""


def forget_values(error: Exception) -> None:
    """Takes values of rows, such as a piece of a prompt, out of an error, which may end up in a log."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None
    elif isinstance(error, asyncpg.DataError | asyncpg.InterfaceError) and isinstance(error, ValueError):
        error.args = ("a value does not fit its column", *error.args[1:])


def is_constraint(error: Exception) -> bool:
    """Whether an error says that a constraint of the tables was broken."""
    return isinstance(error, asyncpg.IntegrityConstraintViolationError)


def is_busy(error: Exception) -> bool:
    """Whether an error says that the transaction was undone, and that the next try may succeed."""
    # A statement whose result got other types, because somebody altered a table, is prepared again at the next try.
    return _state_of(error) in UNDONE or isinstance(error, asyncpg.InvalidCachedStatementError)


def is_outage(error: Exception) -> bool:
    """Whether an error says that the database is not there, rather than that it refused a statement."""
    if isinstance(error, ValueError):  # asyncpg could not encode a value: the statement is wrong.
        return False
    state = _state_of(error)
    return isinstance(error, LOST) or state.startswith(OUTAGES) or state in OTHER_OUTAGES


def _state_of(error: Exception) -> str:
    return str(getattr(error, "sqlstate", None) or "")
