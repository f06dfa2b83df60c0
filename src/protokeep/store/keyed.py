"""Hot reads: one prepared statement, straight on the driver.

SQLAlchemy costs a keyed read about twice what the database does, and on SQLite a thread more. A read may be repeated,
so whatever goes wrong here is left to the ordinary way, which says what is wrong.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

Row = dict[str, Any]

#: Columns whose names end so hold instants.
INSTANTS = ("_at", "_until", "_since")


class NotQuick(Exception):
    """The quick way is not possible now; the ordinary one may be, or says why not."""


class KeyedReads(Protocol):
    """Reads few rows by a key. Raises `NotQuick`."""

    async def rows(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row]: ...

    async def close(self) -> None: ...


class PostgresqlReads:
    """A few connections to PostgreSQL, each of which keeps its statements prepared."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(size)
        self._compiled: dict[TextClause, tuple[str, list[str]]] = {}

    async def rows(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row]:
        sql, names = self._compiled.get(statement) or self._compile(statement)
        async with self._room:
            connection = None
            try:
                connection = self._idle.pop() if self._idle else await self._connect()
                records = await connection.fetch(sql, *[values[name] for name in names])
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if connection is not None:
                    connection.terminate()
                raise NotQuick from error
            except BaseException:
                if connection is not None:
                    connection.terminate()  # Cancelled in the middle of an answer.
                raise
            self._idle.append(connection)
        return [dict(record) for record in records]

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def _connect(self) -> Any:
        connection = await asyncpg.connect(self._url)
        # Types of an adopted table, as the rest of the code has them.
        await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
        await connection.set_type_codec("timestamp", schema="pg_catalog", encoder=str, decoder=instant)
        return connection

    def _compile(self, statement: TextClause) -> tuple[str, list[str]]:
        compiled = statement.compile(dialect=asyncpg_dialect())  # type: ignore[no-untyped-call]
        found = self._compiled[statement] = str(compiled), list(compiled.positiontup or ())
        return found


class SqliteReads:
    """One connection to a SQLite file, used by the event loop itself: a keyed read takes less than handing it over.

    Under WAL no writer holds it up. Where it would have to wait all the same, it gives up at once.
    """

    def __init__(self, path: str) -> None:
        self._open = partial(sqlite3.connect, path, timeout=0, isolation_level=None, check_same_thread=False)
        self._connection: sqlite3.Connection | None = None
        self._shapes: dict[str, tuple[list[str], list[str]]] = {}

    async def rows(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row]:
        try:
            if self._connection is None:
                self._connection = self._open()
            cursor = self._connection.execute(statement.text, values)
            found = cursor.fetchall()
        except sqlite3.Error as error:
            raise NotQuick from error
        if not found:
            return []
        names, instants = self._shapes.get(statement.text) or self._shape(statement.text, cursor)
        rows: list[Row] = [dict(zip(names, values, strict=True)) for values in found]
        for row in rows:
            for name in instants:
                if row[name] is not None:
                    row[name] = instant(row[name])
        return rows

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _shape(self, sql: str, cursor: sqlite3.Cursor) -> tuple[list[str], list[str]]:
        names = [column[0] for column in cursor.description]
        found = self._shapes[sql] = names, [name for name in names if name.endswith(INSTANTS)]
        return found


def instant(value: datetime | str) -> datetime:
    """An aware UTC instant. Text is SQLite's, and without a zone (its CURRENT_TIMESTAMP) it means UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
