"""The processes that work on a database, as rows: who wrote when and to which server; and the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.store.database import Database, DatabaseError, Session
from protokeep.store.prototype_queries import query

#: Errors of a PostgreSQL that does not tell which server it is: not allowed, no such function, not supported.
NOT_TOLD = ("42501", "42883", "0A000")


@dataclass(frozen=True, slots=True)
class Beat:
    """What one process wrote last."""

    process_id: str
    beat: int
    beat_at: datetime
    server: str
    known_until: datetime | None
    went_back: bool
    ahead_until: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the database says now: its clock, which server and copy it is, and the newest beats, newest first."""

    now: datetime
    server: str
    beats: tuple[Beat, ...]

    def of(self, process_id: str) -> Beat | None:
        """What a process wrote last; None: nothing that this copy of the database knows."""
        return next((beat for beat in self.beats if beat.process_id == process_id), None)


class ProcessStore:
    """Reads and writes `protokeep_processes`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._server_query = "database_server"

    async def read(self, process_id: str, now: datetime, server: str) -> Reading:
        """What processes wrote into the database that `clock` told of a moment ago."""
        async with self._database.reading() as session:
            rows = await session.rows(query("newest_beats"), {"process_id": process_id})
        beats = tuple(Beat(**{**row, "went_back": bool(row["went_back"])}) for row in rows)
        return Reading(now, server, beats)

    async def who_noticed(self, session: Session) -> frozenset[str]:
        """The processes that noticed that this database is older than they knew it, in the transaction of `session`."""
        return frozenset(row["process_id"] for row in await session.rows(query("who_noticed")))

    async def confirm(self, session: Session, process_id: str, beat: int) -> tuple[int | None, str]:
        """(this process's next beat, which server this is), in the transaction of `session`.

        None: the database does not know its beat number `beat`.
        """
        row = await session.row(query("confirm_beat"), {"process_id": process_id, "beat": beat})
        server = self._database.file_identity
        if not self._database.is_sqlite:
            told = await session.row(query(self._server_query))
            server = str(told["server"]) if told else ""
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
        """Write that a process lives, and what it thinks of the database; its number, which is beyond `beat`."""
        values = {
            "process_id": process_id,
            "beat": beat,
            "now": now,
            "server": server,
            "known_until": known_until,
            "went_back": went_back,
            "ahead_until": ahead_until,
        }
        async with self._database.alone() as session:
            row = await session.row(query("write_beat"), values)
        if row is None:
            raise RuntimeError("the beat was not written")
        return int(row["beat"])

    async def delete_expired(self, before: datetime) -> None:
        """Drop the rows of processes that wrote last before then."""
        async with self._database.alone() as session:
            await session.run(query("forget_processes"), {"before": before})

    async def has_future(self, latest: datetime) -> bool:
        """Whether anything unfinished is said to have happened after `latest`."""
        async with self._database.reading() as session:
            return await session.row(query("future_generations"), {"latest": latest}) is not None

    async def wind_back(self, now: datetime, beyond: datetime, *, lease: timedelta, deadline: timedelta) -> None:
        """The clock was set back to `now`: nothing rests until a time comes again that it had shown.

        Times after `beyond` are those that were written by the clock of before.
        """
        values = {"now": now, "beyond": beyond}
        leased = {**values, "leased": now + lease}
        async with self._database.transaction() as session:
            await session.run(query("wind_back_generations"), {**leased, "deadline": now + deadline})
            await session.run(query("wind_back_accounts"), leased)
            await session.run(query("wind_back_processes"), values)

    async def clock(self, wall: datetime | None) -> tuple[datetime, str]:
        """(what the database's clock says, which server this is). `wall`: the time to go by instead."""
        if self._database.was_replaced():
            await self._database.reconnect()
        if self._database.is_sqlite:
            if wall is None:
                raise ValueError("SQLite has no clock of its own")
            return wall, self._database.file_identity
        try:
            async with self._database.reading() as session:
                row = await session.row(query(self._server_query))
        except DatabaseError as error:
            if getattr(error.driver, "sqlstate", None) not in NOT_TOLD or self._server_query == "database_name":
                raise
            self._server_query = "database_name"
            return await self.clock(wall)
        if row is None:
            raise RuntimeError("the database did not tell its time")
        return wall or row["now_at"], str(row["server"])
