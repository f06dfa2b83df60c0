"""One database, SQLite or PostgreSQL: connections, transactions, and the few words in which they differ."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from protokeep.core.errors import DatabaseUnavailable, NotConfigured
from protokeep.store.postgresql import PostgresqlConnections
from protokeep.store.sql import (
    ConnectionBroken,
    ConstraintBroken,
    DatabaseError,
    NotQuick,
    Part,
    Row,
    Session,
    Statement,
    Untouched,
    must_touch,
)
from protokeep.store.sqlite import SqliteReads
from protokeep.store.writing import SqliteWrites

__all__ = [
    "ConstraintBroken",
    "Database",
    "DatabaseError",
    "Part",
    "Row",
    "Session",
    "Statement",
    "Untouched",
    "must_touch",
]


#: What is written is found by a key. PostgreSQL need not plan each statement five times before it keeps the plan, nor
#: take to reading whole tables while they are small.
BY_KEY = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"


class Database:
    """Connections to one database.

    `keyed()` is for hot reads of few rows, `reading()` for any; neither locks. `transaction()` commits as a whole or
    not at all.
    """

    def __init__(self, url: str, *, pool_size: int = 20) -> None:
        """`pool_size`: PostgreSQL's connections that read, and as many that write; opened when they are needed.

        Raises `NotConfigured` for an address of neither of the two databases.
        """
        scheme, _, rest = url.partition("://")
        kind = scheme.partition("+")[0]  # An address for SQLAlchemy names a driver too.
        self.is_sqlite = kind == "sqlite"
        self._opened_file = ""
        self._path = ""
        self._reads: SqliteReads | PostgresqlConnections
        self._writes: SqliteWrites | PostgresqlConnections
        if self.is_sqlite:
            path = rest.removeprefix("/").partition("?")[0] or ":memory:"
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._path = path
            self._reads = SqliteReads(path)
            self._writes = SqliteWrites(path)
            self._opened_file = self.file_identity
        elif kind in ("postgresql", "postgres"):
            self._reads = PostgresqlConnections(f"{kind}://{rest}", pool_size)
            self._writes = PostgresqlConnections(f"{kind}://{rest}", pool_size, first=BY_KEY)
        else:
            raise NotConfigured(
                f"PROTOKEEP_DATABASE_URL begins with {scheme or 'nothing'!r}. "
                "Use sqlite:///file or postgresql://user@host/name."
            )

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """One transaction. SQLite lets one connection write: waiting is fair, and those who wait commit together."""
        with _translating():
            async with self._writes.transaction() as session:
                yield session

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[Session]:
        """For one statement that writes, and is committed by itself: the transaction's cheaper sister."""
        with _translating():
            async with self._writes.alone() as session:
                yield session

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """Single statements, each committed by itself."""
        with _translating():
            async with self._reads.session() as session:
                yield session

    async def keyed(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """The few rows that a key leads to. `values` are text and numbers: no instants, no lists."""
        try:
            return await self._reads.keyed(statement, values)
        except NotQuick:
            async with self.reading() as session:
                return await session.rows(statement, values)

    async def bare(self, statement: Statement, values: Mapping[str, Any]) -> list[Sequence[Any]]:
        """The same as values in the order of the columns; instants may be text."""
        try:
            return list(await self._reads.bare(statement, values))
        except NotQuick:
            async with self.reading() as session:
                return [tuple(row.values()) for row in await session.rows(statement, values)]

    @property
    def file_identity(self) -> str:
        """Which file SQLite's database is at this moment; empty: there is none, or it is not SQLite's."""
        if not self.is_sqlite:
            return ""
        try:
            found = os.stat(self._path)
        except OSError:
            return ""
        return f"{found.st_dev}:{found.st_ino}"

    def was_replaced(self) -> bool:
        """Whether another file took the place of the one that is open: what is written now goes nowhere."""
        identity = self.file_identity
        self._opened_file = self._opened_file or identity
        return bool(identity) and identity != self._opened_file

    async def reconnect(self) -> None:
        """Open the file that is there now. Statements under way end on the one that was there before."""
        before = self._reads, self._writes
        self._opened_file = self.file_identity
        self._reads, self._writes = SqliteReads(self._path), SqliteWrites(self._path)
        for connections in before:
            await connections.close()

    async def close(self) -> None:
        await self._reads.close()
        await self._writes.close()


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    """A database that is not there, or does not answer, is `DatabaseUnavailable`; other errors pass."""
    try:
        yield
    except OSError as error:
        raise DatabaseUnavailable from error
    except DatabaseError as error:
        if _is_outage(error):
            raise DatabaseUnavailable from error
        raise


def _is_outage(error: DatabaseError) -> bool:
    """Whether the database is not there, rather than refusing what it was asked."""
    name = getattr(error.driver, "sqlite_errorname", None)
    if name is not None:  # SQLITE_ERROR is a statement of ours that is wrong.
        return str(name).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL"))
    state = str(getattr(error.driver, "sqlstate", None) or "")
    # Connection lost, server going down, out of resources, not accepting connections, no such database.
    outage = state.startswith(("08", "57P", "53")) or state in ("55000", "3D000")
    return outage or isinstance(error, ConnectionBroken)
