"""Lets the processes on one PostgreSQL hear of each other's changes.

NOTIFY takes a lock of the whole server until its transaction is committed, so that transactions which notify are
committed one after the other. Therefore none does that writes: a few times a second, each process tells the others of
all its changes at once. What nobody tells, because a process was killed or a connection was lost, is found in the
table of events a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import structlog

from protokeep.bus import CHANNEL, Bus, Change, enable_keepalive
from protokeep.store.changes import QUIET_EVENTS
from protokeep.store.postgresql import PostgresqlConnection
from protokeep.store.sql import query

log = structlog.get_logger(__name__)

#: The channel on which the events are named that were told of.
EVENTS_CHANNEL = "protokeep_events_told"
#: How long changes are gathered before the others are told: viewers there hear of a change after 0.1 s, not at once.
GATHER_SECONDS = 0.1
#: Changes that are told of with one commit.
TOLD_AT_ONCE = 500
#: How often is looked for events that nobody told of. Those of the last moment may still be told.
LOOK_SECONDS = 1.0
#: Events that one look reads.
LOOKED_AT = 2000
#: How long after a later event an earlier one may be committed. Its number is lost if it was not by then.
COMMITTED_SECONDS = 15.0
#: How long a statement may take, and so how soon a silent connection is noticed.
STATEMENT_SECONDS = 5.0
#: How long the last changes of a process may take.
LAST_SECONDS = 1.0
#: The errors of a connection that is lost or cannot be made.
ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@contextlib.asynccontextmanager
async def listening(bus: Bus, url: str, retry_seconds: float = 1.0) -> AsyncIterator[None]:
    """Exchange changes with other processes through PostgreSQL, for as long as the context lasts.

    `url` leads past a pooler in transaction mode. Connects again `retry_seconds` after the connection was lost.
    """
    task = asyncio.create_task(Notifications(bus, url).run(retry_seconds))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Notifications:
    """One process's connection to the others, and what it knows of the table of events."""

    def __init__(self, bus: Bus, url: str) -> None:
        self._bus = bus
        self._url = url
        self._missed = MissedEvents()
        #: The error that was logged last; None: the connection has worked since.
        self._said: type[BaseException] | None = None

    async def run(self, retry_seconds: float) -> None:
        """Tell and hear, on one connection after the other, until cancelled."""
        while True:
            driver = None
            try:
                driver = await asyncpg.connect(self._url, timeout=STATEMENT_SECONDS, command_timeout=STATEMENT_SECONDS)
                enable_keepalive(driver)
                await self._exchange(driver)
            except ERRORS as error:
                if type(error) is not self._said:  # Once, however often it is tried again.
                    log.warning("notifications_connection_lost", error=type(error).__name__)
                self._said = type(error)
            except asyncio.CancelledError:
                await self._tell_the_last(driver)
                raise
            finally:
                if driver is not None:
                    driver.terminate()
            await asyncio.sleep(retry_seconds)

    async def _exchange(self, driver: Any) -> None:
        """Tell and hear on one connection, until it is lost. Raises one of `ERRORS` then."""
        await driver.add_listener(CHANNEL, _listener(self._bus.receive))
        await driver.add_listener(EVENTS_CHANNEL, _listener(self._missed.receive))
        if not self._missed.began:
            newest = await PostgresqlConnection(driver).fetch_all(query("find_newest_event"))
            self._missed.begin_after(newest[0]["id"])
        looked_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bus.has_untold.wait(), LOOK_SECONDS)
                await asyncio.sleep(GATHER_SECONDS)
            await self._tell(driver)
            if time.monotonic() - looked_at >= LOOK_SECONDS:
                looked_at = time.monotonic()
                await self._look(driver)

    async def _tell(self, driver: Any) -> None:
        """Tell of all changes that wait. Those that a lost connection swallows are found in the table."""
        connection = PostgresqlConnection(driver)
        while changes := self._bus.take_untold(TOLD_AT_ONCE):
            events = sorted({event for _change, events in changes for event in events})
            self._missed.told(events)
            payloads = [self._bus.encode(change) for change, _events in changes]
            numbers = [json.dumps(events[at : at + TOLD_AT_ONCE]) for at in range(0, len(events), TOLD_AT_ONCE)]
            async with driver.transaction():
                await connection.fetch_all(query("commit_without_disk"))
                await connection.fetch_all(query("notify"), {"channel": CHANNEL, "payloads": payloads})
                await connection.fetch_all(query("notify"), {"channel": EVENTS_CHANNEL, "payloads": numbers})

    async def _tell_the_last(self, driver: Any) -> None:
        if driver is not None and not driver.is_closed():
            with contextlib.suppress(TimeoutError, *ERRORS):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._tell(driver)

    async def _look(self, driver: Any) -> None:
        """Publish the changes of events that nobody told of. It also shows that the connection still answers.

        Raises `ConnectionError` on a server that takes no writes: after a fail-over the address leads to another one.
        """
        if (await PostgresqlConnection(driver).fetch_all(query("refuses_writes")))[0]["refuses"]:
            raise ConnectionError("the server takes no writes")
        self._said = None
        values = {"after": self._missed.newest, "missing": self._missed.uncommitted(), "limit": LOOKED_AT}
        rows = await PostgresqlConnection(driver).fetch_all(query("list_events_since"), values)
        changes = {
            row["id"]: Change(row["workspace_id"], row["product_id"], row["mockup_id"], "", "changed")
            for row in rows
            if row["kind"] not in QUIET_EVENTS
        }
        for change in self._missed.seen([row["id"] for row in rows], changes):
            self._bus.publish(change)
            await asyncio.sleep(0)  # Subscribers take changes off their queues meanwhile.


class MissedEvents:
    """Which events of the table this process has heard of, as far as they are new."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.began = False
        self.newest = 0
        self._told: dict[int, float] = {}
        #: Numbers below the newest that were not there when it was read, and when that was.
        self._uncommitted: dict[int, float] = {}
        #: Events that nobody had told of at the last look.
        self._untold: dict[int, Change] = {}

    def begin_after(self, newest: int) -> None:
        """Events up to `newest` are known: whoever watches reads the rows themselves at first."""
        self.began, self.newest = True, newest

    def told(self, events: list[int]) -> None:
        """These events were told of."""
        now = self._clock()
        self._told |= dict.fromkeys(events, now)

    def receive(self, payload: str) -> None:
        """Another process told of events. Unreadable payloads are dropped."""
        with contextlib.suppress(ValueError, TypeError):
            self.told([int(event) for event in json.loads(payload)])

    def uncommitted(self) -> list[int]:
        """The numbers below the newest whose events may still be committed."""
        since = self._clock() - COMMITTED_SECONDS
        self._uncommitted = {event: at for event, at in self._uncommitted.items() if at > since}
        return list(self._uncommitted)

    def seen(self, events: list[int], changes: dict[int, Change]) -> list[Change]:
        """The next events of the table were read. Returns the changes that nobody told of, one for each prototype."""
        missed = {change.mockup_id: change for event, change in self._untold.items() if event not in self._told}
        self._untold = {event: change for event, change in changes.items() if event not in self._told}
        now = self._clock()
        newest = max([self.newest, *events])
        there = set(events)
        first = max(self.newest + 1, newest - LOOKED_AT)
        self._uncommitted |= {event: now for event in range(first, newest) if event not in there}
        for event in there:
            self._uncommitted.pop(event, None)
        self.newest = newest
        self._told = {event: at for event, at in self._told.items() if at > now - 2 * COMMITTED_SECONDS}
        return list(missed.values())


def _listener(receive: Callable[[str], None]) -> Callable[[Any, Any, Any, Any], None]:
    def on_notification(_connection: Any, _pid: Any, _channel: Any, payload: Any) -> None:
        receive(str(payload))

    return on_notification
