"""Whether the database takes what this process has to write, and in words why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from protokeep.core.errors import DatabaseUnavailable
from protokeep.store.database import Database
from protokeep.store.owner_table import OWN_TABLES
from protokeep.store.sql import query

#: How long an answer counts, whoever asks: `/readyz` is open to everybody, and each answer costs a write.
FRESH_SECONDS = 1.0
#: The tables of PgQueuer that jobs need.
QUEUE_TABLES = ("pgqueuer", "pgqueuer_log")
#: What the errors of a database that takes no writes mean, by SQLSTATE or by the name that SQLite gives them.
MEANINGS = {
    "25006": "The database takes no writes: it is read-only, such as a standby or the old primary of a fail-over",
    "53100": "The disk of the database is full",
    "SQLITE_FULL": "The disk of the database is full",
    "SQLITE_READONLY": "The database's file may only be read",
    "SQLITE_CANTOPEN": "The database's file cannot be opened: look at the rights of its folder",
    "SQLITE_IOERR": "The disk of the database fails, or is full",
    "SQLITE_BUSY": "Another program holds the database's file",
}


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections of a PostgreSQL server."""

    left: int  #: may be open to our role at once, beside those of other programs
    others: int  #: held by other programs now
    processes: int  #: processes of ours that beat in the last ten seconds


class Readiness:
    """Asks the database, once for all who ask within `FRESH_SECONDS`."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        """`elapsed` is a monotonic clock."""
        self._database = database
        self._clock = clock
        self._elapsed = elapsed
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None
        self._refusal = ""

    async def require(self) -> None:
        """Write a row, and look at our role's rights. Raises `DatabaseUnavailable`, with words, when it may not."""
        async with self._asking:
            if self._asked_at is None or self._elapsed() - self._asked_at >= FRESH_SECONDS:
                self._refusal = await self._refused()
                self._asked_at = self._elapsed()
        if self._refusal:
            raise DatabaseUnavailable(self._refusal)

    async def connections(self) -> Connections | None:
        """How many connections the server has for us. None: the database is SQLite."""
        if self._database.is_sqlite:
            return None
        row = (await self._database.read(query("count_connections")))[0]
        return Connections(int(row["unclaimed"]), int(row["others"]), int(row["processes"]))

    async def _refused(self) -> str:
        """What is refused, and what to do; empty: nothing is."""
        try:
            if not self._database.is_sqlite:
                rows = await self._database.read(query("list_lacking_rights"), {"tables": [*OWN_TABLES, *QUEUE_TABLES]})
                if rows:
                    return _words_of(rows)
            async with self._database.transaction() as connection:
                await connection.execute(query("save_ready"), {"now": self._clock().isoformat()})
        except DatabaseUnavailable as error:
            meaning = meaning_of(error.__cause__)
            healed = "Nothing was written; it continues automatically once that is repaired."
            return f"{meaning}. {healed}" if meaning else str(error)
        return ""


def meaning_of(error: BaseException | None) -> str:
    """What an error of a driver says about a database that takes no writes; empty: something else."""
    state = str(getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or "")
    return next((words for beginning, words in MEANINGS.items() if state.startswith(beginning)), "")


def _words_of(rows: list[dict[str, object]]) -> str:
    first, others = rows[0], f" and {len(rows) - 1} more tables" if len(rows) > 1 else ""
    if first["lacks"]:
        return (
            f"The database role {first['role']} may not {first['lacks']} in {first['name']}{others}. Run the GRANTs of "
            "docs/operations.md for this role."
        )
    return (
        f"Row-level security without a policy hides {first['name']}{others} from the database role {first['role']}. "
        "Connect as the role that owns the tables, or give this role BYPASSRLS."
    )
