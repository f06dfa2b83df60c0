"""The processes that use a database, as rows with their heartbeats; and the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.core.errors import DatabaseBusy
from protokeep.store.database import Database
from protokeep.store.sql import Connection, DatabaseError, query

#: Errors of a PostgreSQL that does not tell which server it is: not allowed, no such function, not supported.
SERVER_HIDDEN = ("42501", "42883", "0A000")


@dataclass(frozen=True, slots=True)
class Beat:
    """The last heartbeat of a process."""

    process_id: str
    beat: int
    beat_at: datetime
    server: str
    known_until: datetime | None
    went_back: bool
    ahead_until: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """The database's clock, which server and copy it is, and the newest heartbeats, newest first."""

    now: datetime
    server: str
    beats: tuple[Beat, ...]

    def of(self, process_id: str) -> Beat | None:
        """The last heartbeat of a process. None: this copy of the database knows none."""
        return next((beat for beat in self.beats if beat.process_id == process_id), None)


class ProcessStore:
    """Reads and writes `protokeep_processes`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._server_query = "find_clock_and_server"

    async def read(self, process_id: str, now: datetime, server: str) -> Reading:
        """The heartbeats in the database that `clock` described a moment ago."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("list_newest_heartbeats"), {"process_id": process_id})
        beats = tuple(Beat(**{**row, "went_back": bool(row["went_back"])}) for row in rows)
        return Reading(now, server, beats)

    async def processes_on_older_copy(self, connection: Connection) -> frozenset[str]:
        """The processes that noticed that this database is an older copy, and have not finished comparing it."""
        return frozenset(row["process_id"] for row in await connection.fetch_all(query("list_processes_on_older_copy")))

    async def confirm(self, connection: Connection, process_id: str, beat: int) -> tuple[int | None, str]:
        """Counts a heartbeat in a transaction. Returns (its number, which server this is).

        None as the number: the database does not know the heartbeat `beat` of this process.
        """
        row = await connection.fetch_one(query("confirm_heartbeat"), {"process_id": process_id, "beat": beat})
        server = self._database.file_identity
        if not self._database.is_sqlite:
            found = await connection.fetch_one(query(self._server_query))
            server = str(found["server"]) if found else ""
        return (int(row["beat"]) if row else None), server

    async def write(
        self,
        process_id: str,
        beat: int,
        now: datetime,
        server: str,
        known_until: datetime | None,
        *,
        went_back: bool,
        ahead_until: datetime | None,
    ) -> int:
        """Writes a heartbeat, with what the process knows of the database. Returns its number, greater than `beat`."""
        values = {
            "process_id": process_id,
            "beat": beat,
            "now": now,
            "server": server,
            "known_until": known_until,
            "went_back": went_back,
            "ahead_until": ahead_until,
        }
        async with self._database.transaction() as connection:
            row = await connection.fetch_one(query("save_heartbeat"), values)
        if row is None:
            raise RuntimeError("the heartbeat was not written")
        return int(row["beat"])

    async def delete_expired(self, before: datetime) -> None:
        """Deletes the rows of processes whose last heartbeat was before a time."""
        async with self._database.transaction() as connection:
            await connection.execute(query("delete_expired_processes"), {"before": before})

    async def has_future(self, latest: datetime) -> bool:
        """Whether anything unfinished has a time after `latest`."""
        async with self._database.reading() as connection:
            return await connection.fetch_one(query("has_generations_in_future"), {"latest": latest}) is not None

    async def wind_back(self, now: datetime, beyond: datetime, *, lease: timedelta, deadline: timedelta) -> None:
        """Adapts all times to a clock that was set back to `now`, so that nothing waits until the clock has caught up.

        Times after `beyond` were written by the clock before that.
        """
        values = {"now": now, "beyond": beyond}
        leased = {**values, "leased": now + lease}
        async with self._database.transaction() as connection:
            await connection.execute(query("wind_back_generations"), {**leased, "deadline": now + deadline})
            await connection.execute(query("wind_back_accounts"), leased)
            await connection.execute(query("wind_back_processes"), values)

    async def clock(self, wall: datetime | None) -> tuple[datetime, str]:
        """(the database's clock, which server this is). `wall` is used instead of the clock; SQLite needs it."""
        if self._database.was_replaced():
            await self._database.reconnect()
        if self._database.is_sqlite:
            if wall is None:
                raise ValueError("SQLite has no clock of its own")
            return wall, self._database.file_identity
        try:
            async with self._database.reading() as connection:
                row = await connection.fetch_one(query(self._server_query))
        except (DatabaseError, DatabaseBusy) as error:
            if (
                getattr(error.__cause__, "sqlstate", None) not in SERVER_HIDDEN
                or self._server_query == "find_clock_and_database"
            ):
                raise
            self._server_query = "find_clock_and_database"
            return await self.clock(wall)
        if row is None:
            raise RuntimeError("the database returned no time")
        return wall or row["now_at"], str(row["server"])
