"""What a statement is given and gives back, the same on both databases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, Protocol

Row = dict[str, Any]

#: Columns whose names end so hold instants.
INSTANTS = ("_at", "_until", "_since")
#: How long somebody waits for a connection before the database counts as not available.
PATIENCE_SECONDS = 30.0


_NAMED = re.compile(r"(?<![:\w]):([a-z]\w*)")
_COMMENT = re.compile(r"^\s*--.*$", re.M)
_TRUE = re.compile(r"\b(WHERE|AND) TRUE\b")
_LIST = re.compile(r"IN :([a-z]\w*)")


class Statement:
    """SQL for both databases: parameters are `:names`, and one behind IN takes a list."""

    def __init__(self, text: str) -> None:
        self.text = _COMMENT.sub("", text).strip()

    @cached_property
    def names(self) -> list[str]:
        """Its parameters, in the order in which they first appear."""
        return list(dict.fromkeys(_NAMED.findall(self.text)))

    @cached_property
    def for_sqlite(self) -> str:
        """As SQLite takes it: a list is one parameter, as JSON."""
        return _LIST.sub(r"IN (SELECT value FROM json_each(:\1))", self.text)

    @cached_property
    def for_postgresql(self) -> str:
        """As PostgreSQL takes it: parameters are numbered, and a list is an array."""
        numbers = {name: str(number) for number, name in enumerate(self.names, 1)}
        return _NAMED.sub(lambda found: f"${numbers[found[1]]}", _LIST.sub(r"= ANY(:\1)", self.text))


#: A statement with its values, one of several that are executed together.
Part = tuple[Statement, Mapping[str, Any]]


@lru_cache(maxsize=512)
def joined(statements: tuple[Statement, ...], *, if_first: bool = False) -> Statement:
    """One statement for PostgreSQL that executes several; its row holds how many rows each touched.

    A parameter `:name` of the second one is `:of1_name` there, and so on. With `if_first` the others do nothing where
    the first touched no row: the TRUE of their conditions is where that is said.
    """
    parts = []
    for number, statement in enumerate(statements):
        sql = _NAMED.sub(rf":of{number}_\1", statement.text)
        if if_first and number > 0:
            sql, conditions = _TRUE.subn(r"\1 EXISTS (SELECT 1 FROM done0)", sql)
            if conditions != 1:
                raise ValueError(f"This statement does not say where a condition goes: {statement.text}")
        returns = sql.startswith("SELECT") or "RETURNING" in sql
        parts.append(f"done{number} AS ({sql}{'' if returns else ' RETURNING 1'})")
    counts = ", ".join(f"(SELECT count(*) FROM done{number}) AS done{number}" for number in range(len(parts)))  # noqa: S608
    return Statement(f"WITH {', '.join(parts)} SELECT {counts}")


def joined_values(parts: Sequence[Part]) -> dict[str, Any]:
    """The values of `parts` under the names that they have in their joined statement."""
    return {f"of{number}_{name}": value for number, (_, own) in enumerate(parts) for name, value in own.items()}


class DatabaseError(Exception):
    """The database refused a statement, or could not be asked. `driver`: the error of its driver."""

    def __init__(self, sql: str, driver: Exception) -> None:
        super().__init__(f"{type(driver).__name__}: {driver}")
        self.sql = sql
        self.driver = driver


class ConstraintBroken(DatabaseError):
    """A rule of the tables forbids what a statement wanted to write."""


class ConnectionBroken(DatabaseError):
    """The connection is of no use any more."""


class Untouched(Exception):
    """A guarded write touched no row. Raised inside a transaction, so that all of it is rolled back."""


class Session(Protocol):
    """Statements on one connection. Instants go in and come out as aware UTC, ids as text. Raises `DatabaseError`."""

    is_sqlite: bool

    async def rows(self, statement: Statement, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of a statement."""
        ...

    async def row(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of a statement, or None."""
        ...

    async def run(self, statement: Statement, values: Mapping[str, Any] | None = None) -> int:
        """Execute, and tell how many rows were touched."""
        ...

    async def run_many(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute once per entry of `values`."""
        ...

    async def together(self, parts: Sequence[Part], *, if_first: bool = False) -> list[int]:
        """Execute several that write, in this order, and tell how many rows each touched.

        None of them sees what the others wrote: on PostgreSQL they are one statement, and one round trip. With
        `if_first` the others are executed only where the first touched a row; each holds a `WHERE TRUE` for that.
        """
        ...

    async def wait_at_most(self, duration: str) -> None:
        """How long statements of this transaction wait for a lock. SQLite has one setting for all."""
        ...


async def must_touch(session: Session, statement: Statement, values: Mapping[str, Any]) -> None:
    """Execute a guarded write. Raises `Untouched` when its guard held it back.

    Whatever belongs to the write is executed after this, in the same transaction: it is committed with the write or
    rolled back with it.
    """
    if await session.run(statement, values) == 0:
        raise Untouched


class NotQuick(Exception):
    """A read by key is not possible at once; the ordinary way may be, or says why not."""


def instant(value: datetime | str) -> datetime:
    """An aware UTC instant. Text is SQLite's, and without a zone (its CURRENT_TIMESTAMP) it means UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
