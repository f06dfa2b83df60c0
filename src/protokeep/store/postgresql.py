"""PostgreSQL straight on asyncpg: connections that keep their statements prepared, and sessions on them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError

from protokeep.store.session import PATIENCE_SECONDS, NotQuick, Row, instant

_LIST = re.compile(r"IN \(__\[POSTCOMPILE_(\w+)\]\)")


class PostgresqlConnections:
    """So many connections at most, opened when they are needed."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(size)
        self._compiled: dict[TextClause, tuple[str, list[str]]] = {}
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
                lost = isinstance(error, OSError | asyncpg.InterfaceError | InterfaceError)
                if lost or not isinstance(error, Exception) or connection.is_in_transaction():
                    connection.terminate()  # Or cancelled in the middle of an answer.
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
            yield PostgresqlSession(connection, self)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresqlSession]:
        """One transaction."""
        async with self.taken() as connection:
            with as_sqlalchemy("COMMIT"):
                async with connection.transaction():
                    yield PostgresqlSession(connection, self)

    def compiled(self, statement: TextClause) -> tuple[str, list[str]]:
        """The statement as PostgreSQL takes it, and the names of its parameters in order; a list is one parameter."""
        found = self._compiled.get(statement)
        if found is None:
            compiled = statement.compile(dialect=asyncpg_dialect())  # type: ignore[no-untyped-call]
            sql = str(compiled)
            lists = _LIST.findall(sql)
            names = [name for name in compiled.positiontup or () if name not in lists]
            for name in dict.fromkeys(lists):
                names.append(name)
                sql = sql.replace(f"IN (__[POSTCOMPILE_{name}])", f"= ANY(${len(names)})")
            found = self._compiled[statement] = sql, names
        return found

    async def keyed(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row]:
        """The few rows that a key leads to. Raises `NotQuick` when the connection is not what it was."""
        sql, names = self.compiled(statement)
        try:
            async with self.taken() as connection:
                records = await connection.fetch(sql, *[values[name] for name in names])
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotQuick from error
        return [dict(record) for record in records]

    async def close(self) -> None:
        """Close those that nobody uses; the others go when they are given back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close()

    def _found(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> Any:
        connection = await asyncpg.connect(self._url)
        try:  # Types of an adopted table, as the rest of the code has them.
            await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
            await connection.set_type_codec("timestamp", schema="pg_catalog", encoder=str, decoder=instant)
        except BaseException:
            connection.terminate()
            raise
        return connection


class PostgresqlSession:
    """A session on a connection: for one transaction, or for single statements."""

    is_sqlite = False

    def __init__(self, connection: Any, connections: PostgresqlConnections) -> None:
        self._connection = connection
        self._connections = connections

    async def rows(self, statement: Any, values: Mapping[str, Any] | None = None) -> list[Row]:
        sql, names = self._connections.compiled(statement)
        with as_sqlalchemy(sql):
            return [dict(record) for record in await self._connection.fetch(sql, *_arguments(names, values))]

    async def row(self, statement: Any, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.rows(statement, values)
        return rows[0] if rows else None

    async def run(self, statement: Any, values: Mapping[str, Any] | None = None) -> int:
        sql, names = self._connections.compiled(statement)
        with as_sqlalchemy(sql):
            status: str = await self._connection.execute(sql, *_arguments(names, values))
        touched = status.rpartition(" ")[2]
        return int(touched) if touched.isdigit() else 0

    async def run_many(self, statement: Any, values: Sequence[Mapping[str, Any]]) -> None:
        sql, names = self._connections.compiled(statement)
        with as_sqlalchemy(sql):
            await self._connection.executemany(sql, [_arguments(names, entry) for entry in values])

    async def wait_at_most(self, duration: str) -> None:
        with as_sqlalchemy("SET"):
            await self._connection.execute(f"SET LOCAL lock_timeout = '{duration}'")


def _arguments(names: Sequence[str], values: Mapping[str, Any] | None) -> list[Any]:
    return [values[name] for name in names] if values else []


@contextlib.contextmanager
def as_sqlalchemy(sql: str) -> Iterator[None]:
    """Errors of the driver as SQLAlchemy names them."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError(sql, None, error) from error
    except asyncpg.PostgresError as error:
        raise DBAPIError(sql, None, error) from error
    except asyncpg.InterfaceError as error:
        raise InterfaceError(sql, None, error) from error
