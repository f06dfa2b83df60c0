"""Hot reads: one prepared statement, straight on the driver.

SQLAlchemy costs a keyed read about twice what the database does, and on SQLite a thread more. A read may be repeated,
so whatever goes wrong here is left to the ordinary way, which says what is wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import asyncpg
from sqlalchemy import TextClause

from protokeep.store.driver import INSTANTS, PostgresqlConnections, Row, instant


class NotQuick(Exception):
    """The quick way is not possible now; the ordinary one may be, or says why not."""


class KeyedReads(Protocol):
    """Reads few rows by a key. Raises `NotQuick`."""

    async def rows(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row]: ...

    async def close(self) -> None: ...


class PostgresqlReads:
    """Keyed reads over connections of their own."""

    def __init__(self, connections: PostgresqlConnections) -> None:
        self._connections = connections

    async def rows(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row]:
        sql, names = self._connections.compiled(statement)
        try:
            async with self._connections.taken() as connection:
                records = await connection.fetch(sql, *[values[name] for name in names])
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotQuick from error
        return [dict(record) for record in records]

    async def close(self) -> None:
        await self._connections.close()


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
