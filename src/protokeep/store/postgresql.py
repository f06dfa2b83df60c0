"""PostgreSQL straight on asyncpg: connections that keep their statements prepared, and sessions on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import asyncpg

from protokeep.bus import enable_keepalive
from protokeep.store.sql import (
    PATIENCE_SECONDS,
    ConnectionBroken,
    ConstraintBroken,
    DatabaseError,
    NotQuick,
    Part,
    Row,
    Statement,
    instant,
    joined,
    joined_values,
)

#: Statements that a connection keeps prepared; there are about a hundred, and as many again that are joined.
PREPARED = 500
#: How long a connection may take to open, and a statement to answer: less than the lease of a create, so that a network
#: that swallows everything costs seconds, and no process goes on after another one has taken its rows over.
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 5.5
#: What asyncpg says of a connection that is gone, or is just going.
GONE = (asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgresqlConnections:
    """So many connections at most, opened when they are needed."""

    def __init__(self, url: str, size: int, *, first: str | None = None) -> None:
        """`first`: what each says first."""
        self._url = url
        self._first = first
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(size)
        self._closed = False

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[Any]:
        """One connection. It is kept for others unless something went wrong on it that is not PostgreSQL's word."""
        async with asyncio.timeout(PATIENCE_SECONDS) if self._room.locked() else contextlib.nullcontext():
            await self._room.acquire()
        try:
            connection = self._found() or await self._connect()
            try:
                yield connection
            except BaseException as error:
                if isinstance(error, (OSError, ConnectionBroken, *GONE)):
                    connection.terminate()
                    self._give_up_idle()  # Whatever ended this one most likely ended them too.
                elif not isinstance(error, Exception) or connection.is_in_transaction():
                    connection.terminate()  # Cancelled in the middle of an answer.
                raise
            finally:
                if self._closed:
                    connection.terminate()
                elif not connection.is_closed():
                    self._idle.append(connection)
        finally:
            self._room.release()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[PostgresqlSession]:
        """Single statements on one connection."""
        async with self.taken() as connection:
            yield PostgresqlSession(connection)

    def alone(self) -> contextlib.AbstractAsyncContextManager[PostgresqlSession]:
        """A transaction of one statement: PostgreSQL makes it one by itself."""
        return self.session()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresqlSession]:
        """One transaction."""
        async with self.taken() as connection:
            with named("COMMIT"):
                async with connection.transaction():
                    yield PostgresqlSession(connection)

    async def keyed(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """The few rows that a key leads to. Raises `NotQuick` when the connection is not what it was."""
        return [dict(record) for record in await self.bare(statement, values)]

    async def bare(self, statement: Statement, values: Mapping[str, Any]) -> list[Any]:
        """The same as values in the order of the columns."""
        try:
            async with self.taken() as connection:
                records: list[Any] = await connection.fetch(statement.for_postgresql, *_arguments(statement, values))
        except (OSError, DatabaseError, asyncpg.PostgresError, *GONE) as error:
            raise NotQuick from error
        return records

    async def close(self) -> None:
        """Close those that nobody uses; the others go when they are given back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close()

    def _give_up_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()

    def _found(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> Any:
        with named("connect"):
            connection = await asyncpg.connect(
                self._url,
                statement_cache_size=PREPARED,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
            )
        enable_keepalive(connection)
        try:
            if self._first is not None:
                await connection.execute(self._first)
            # Types of an adopted table, as the rest of the code has them.
            await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
            await connection.set_type_codec("timestamp", schema="pg_catalog", encoder=str, decoder=instant)
        except BaseException:
            connection.terminate()
            raise
        return connection


class PostgresqlSession:
    """A session on a connection: for one transaction, or for single statements."""

    is_sqlite = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, statement: Statement, values: Mapping[str, Any] | None = None) -> list[Row]:
        sql = statement.for_postgresql
        with named(sql):
            return [dict(record) for record in await self._connection.fetch(sql, *_arguments(statement, values))]

    async def row(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.rows(statement, values)
        return rows[0] if rows else None

    async def run(self, statement: Statement, values: Mapping[str, Any] | None = None) -> int:
        sql = statement.for_postgresql
        with named(sql):
            status: str = await self._connection.execute(sql, *_arguments(statement, values))
        touched = status.rpartition(" ")[2]
        return int(touched) if touched.isdigit() else 0

    async def run_many(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> None:
        sql = statement.for_postgresql
        with named(sql):
            await self._connection.executemany(sql, [_arguments(statement, entry) for entry in values])

    async def together(self, parts: Sequence[Part], *, if_first: bool = False) -> list[int]:
        if not parts:
            return []
        statement = joined(tuple(statement for statement, _ in parts), if_first=if_first)
        row = await self.row(statement, joined_values(parts))
        return list(row.values()) if row else []

    async def wait_at_most(self, duration: str) -> None:
        with named("SET"):
            await self._connection.execute(f"SET LOCAL lock_timeout = '{duration}'")


def _arguments(statement: Statement, values: Mapping[str, Any] | None) -> list[Any]:
    return [values[name] for name in statement.names] if values else []


@contextlib.contextmanager
def named(sql: str) -> Iterator[None]:
    """Errors of the driver as the store names them."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        raise ConstraintBroken(sql, error) from error
    except (asyncpg.PostgresConnectionError, TimeoutError, *GONE) as error:
        raise ConnectionBroken(sql, error) from error
    except asyncpg.PostgresError as error:
        raise DatabaseError(sql, error) from error
