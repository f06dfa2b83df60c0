"""SQL for both databases: statements with named parameters, and the connection that executes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Protocol

#: A row by the names of its columns.
Row = dict[str, Any]
Values = Mapping[str, Any]

NO_VALUES: Values = {}
#: How long a caller waits for a connection before the database counts as unavailable.
WAIT_SECONDS = 30.0
#: How long one read may take that takes longer the more rows there are. Longer ones are ended: others wait for them.
SCAN_SECONDS = 3.0
#: How long closing waits for open transactions.
CLOSING_SECONDS = 1.0
#: Larger numbers are milliseconds since 1970, smaller ones seconds: as seconds this is the year 5138.
MOST_SECONDS = 1e11

_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_COMMENT = re.compile(r"^\s*--.*$", re.M)
_LIST = re.compile(r"IN :([a-z]\w*)")


class Statement:
    """SQL for both databases: parameters are `:names`, and a parameter behind IN takes a list."""

    def __init__(self, text: str) -> None:
        self.text = _COMMENT.sub("", text).strip()

    @cached_property
    def names(self) -> list[str]:
        """The parameters, in the order in which they first appear."""
        return list(dict.fromkeys(_PARAMETER.findall(self.text)))

    @cached_property
    def for_sqlite(self) -> str:
        """The text for SQLite, where a list is one parameter, as JSON."""
        return _LIST.sub(r"IN (SELECT value FROM json_each(:\1))", self.text)

    @cached_property
    def for_postgresql(self) -> str:
        """The text for PostgreSQL, where parameters are numbered and a list is an array."""
        numbers = {name: str(number) for number, name in enumerate(self.names, 1)}
        return _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", _LIST.sub(r"= ANY(:\1)", self.text))

    def arguments(self, values: Values) -> list[Any]:
        """The values in the order of PostgreSQL's numbers."""
        return [values[name] for name in self.names]


@cache
def query(name: str) -> Statement:
    """The statement in `queries/<name>.sql`."""
    return Statement(query_text(name))


def query_text(name: str) -> str:
    """The text of `queries/<name>.sql`."""
    return files("protokeep.store").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


class DatabaseError(Exception):
    """The database refused a statement. `driver` is the error of its driver."""

    def __init__(self, driver: Exception) -> None:
        super().__init__(f"{type(driver).__name__}: {driver}")
        self.driver = driver


class ConstraintBroken(DatabaseError):
    """A constraint of the tables forbids the rows that a statement would write."""


class LostRace(Exception):
    """A guarded write touched no row, because another transaction was first.

    Raised inside a transaction, so that everything that the transaction wrote is rolled back.
    """


class Connection(Protocol):
    """Executes statements. Instants go in and come out as aware UTC, ids as text."""

    is_sqlite: bool
    #: The events that the open transaction has added, by number.
    new_events: list[int]

    async def fetch_all(self, statement: Statement, values: Values = NO_VALUES) -> list[Row]:
        """All rows of a statement."""
        ...

    async def fetch_one(self, statement: Statement, values: Values = NO_VALUES) -> Row | None:
        """The first row of a statement, or None."""
        ...

    async def execute(self, statement: Statement, values: Values = NO_VALUES) -> int:
        """Executes a statement and returns how many rows it touched or returned."""
        ...

    async def execute_many(self, statement: Statement, values: Sequence[Values]) -> None:
        """Executes a statement once for each of `values`."""
        ...

    def after_commit(self, function: Callable[[], None]) -> None:
        """On PostgreSQL: calls a function once the transaction is committed, and never if it is not."""
        ...


async def must_touch(connection: Connection, statement: Statement, values: Values) -> None:
    """Executes a guarded write. Raises `LostRace` when it touches no row.

    Everything that belongs to the write is executed after this, in the same transaction: it is committed with the
    write or rolled back with it.
    """
    if await connection.execute(statement, values) == 0:
        raise LostRace


def owners_instant(value: object) -> datetime | None:
    """The instant that a column of the owner's holds; None: it holds none, or nothing that we can read as one."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value if abs(value) < MOST_SECONDS else value / 1000, UTC)
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        return instant(value) if isinstance(value, datetime | str) else None
    except (ValueError, OverflowError, OSError):
        return None


def instant(value: datetime | str) -> datetime:
    """An aware UTC instant. Text is SQLite's; without a zone (its CURRENT_TIMESTAMP) it means UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
