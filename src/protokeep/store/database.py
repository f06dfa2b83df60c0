"""One database, SQLite or PostgreSQL: transactions and reads, and what their errors mean."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from protokeep.core.connection_limits import ConnectionLimits
from protokeep.core.database_address import plain_address
from protokeep.core.errors import DatabaseBusy, DatabaseUnavailable, NotConfigured, TooSlow
from protokeep.store import postgresql, sqlite
from protokeep.store.pool_usage import PoolUsage
from protokeep.store.private_files import create_folder
from protokeep.store.sql import (
    NO_VALUES,
    SCAN_SECONDS,
    Connection,
    ConstraintBroken,
    DatabaseError,
    Row,
    Statement,
    Values,
)


class Database:
    """Connections to one database, opened when they are needed.

    Errors of the drivers come out as `DatabaseUnavailable`, when the database is not there or does not answer, as
    `DatabaseBusy`, when it undid the statement and may do it the next time, or as `ConstraintBroken` or another
    `DatabaseError`, when it refuses the statement.
    """

    def __init__(self, url: str, limits: ConnectionLimits | None = None) -> None:
        """`limits` are those of PostgreSQL. Raises `NotConfigured` for an address of neither of the two databases."""
        scheme, _, rest = url.partition("://")
        kind = scheme.partition("+")[0]  # An address for SQLAlchemy names a driver too.
        self.is_sqlite = kind == "sqlite"
        self._path = ""
        self._opened_file = ""
        self._driver: sqlite.Sqlite | postgresql.Postgresql
        if self.is_sqlite:
            self._path = rest.removeprefix("/").partition("?")[0] or ":memory:"
            create_folder(Path(self._path).parent)
            self._driver = sqlite.Sqlite(self._path)
            self._opened_file = self.file_identity
        elif kind in ("postgresql", "postgres"):
            self._driver = postgresql.Postgresql(plain_address(url), limits or ConnectionLimits())
        else:
            # The message leaves the address out, because it may hold a password.
            raise NotConfigured(
                "PROTOKEEP_DATABASE_URL is not the address of a database. Use sqlite:///file or postgresql://user@host/name."
            )

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction, committed as a whole when the context ends, or not at all. SQLite has one at a time."""
        with _translated():
            async with self._driver.transaction() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection for reads of any length, each a statement by itself."""
        with _translated():
            async with self._driver.reading() as connection:
                yield connection

    async def scan(self, statement: Statement, values: Values, seconds: float = SCAN_SECONDS) -> list[Row]:
        """The rows of one read that takes longer the more rows there are.

        Raises `TooSlow` after `seconds`: the database has ended the statement then, or does so within a moment.
        """
        with _translated():
            rows = await self._driver.scan(statement, values, seconds)
        if rows is None:
            raise TooSlow(seconds)
        return rows

    async def read(self, statement: Statement, values: Values = NO_VALUES) -> list[Row]:
        """The few rows that a key leads to. On SQLite the event loop itself reads them: a scan belongs to `reading`."""
        with _translated():
            return await self._driver.read(statement, values)

    def usage(self) -> PoolUsage:
        """How many of its connections are in use at this moment: of the pool, or of SQLite's readers."""
        return self._driver.usage()

    @property
    def file_identity(self) -> str:
        """Which file the SQLite database is at this moment. Empty: there is no file, or it is PostgreSQL."""
        if not self.is_sqlite:
            return ""
        try:
            status = os.stat(self._path)
        except OSError:
            return ""
        return f"{status.st_dev}:{status.st_ino}"

    def was_replaced(self) -> bool:
        """Whether another file took the place of the open one, so that everything written now is lost."""
        identity = self.file_identity
        self._opened_file = self._opened_file or identity
        return bool(identity) and identity != self._opened_file

    async def reconnect(self) -> None:
        """Opens the SQLite file that is there now. Transactions under way end on the file that was there before."""
        before = self._driver
        self._opened_file = self.file_identity
        self._driver = sqlite.Sqlite(self._path)
        await before.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._driver.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turns errors of the drivers into those that `Database` names; other errors pass."""
    try:
        yield
    except (OSError, *sqlite.ERRORS, *postgresql.ERRORS) as error:
        postgresql.forget_values(error)
        if sqlite.is_busy(error) or postgresql.is_busy(error):
            raise DatabaseBusy from error
        if isinstance(error, OSError) or sqlite.is_outage(error) or postgresql.is_outage(error):
            raise DatabaseUnavailable from error
        broken = sqlite.is_constraint(error) or postgresql.is_constraint(error)
        raise (ConstraintBroken if broken else DatabaseError)(error) from error
