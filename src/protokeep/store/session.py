"""What a statement is given and gives back, the same on both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

Row = dict[str, Any]

#: Columns whose names end so hold instants.
INSTANTS = ("_at", "_until", "_since")
#: How long somebody waits for a connection before the database counts as not available.
PATIENCE_SECONDS = 30.0


class Session(Protocol):
    """Statements on one connection. Instants go in and come out as aware UTC, ids as text.

    Errors are SQLAlchemy's, so that both databases fail in one way.
    """

    is_sqlite: bool

    async def rows(self, statement: Any, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of a statement."""
        ...

    async def row(self, statement: Any, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of a statement, or None."""
        ...

    async def run(self, statement: Any, values: Mapping[str, Any] | None = None) -> int:
        """Execute, and tell how many rows were touched."""
        ...

    async def run_many(self, statement: Any, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute once per entry of `values`."""
        ...

    async def wait_at_most(self, duration: str) -> None:
        """How long statements of this transaction wait for a lock. SQLite has one setting for all."""
        ...


class NotQuick(Exception):
    """A read by key is not possible at once; the ordinary way may be, or says why not."""


def instant(value: datetime | str) -> datetime:
    """An aware UTC instant. Text is SQLite's, and without a zone (its CURRENT_TIMESTAMP) it means UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
