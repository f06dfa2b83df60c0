"""The numbers of metrics that are read when somebody asks: of rows, connections, streams and this process."""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from protokeep import __version__
from protokeep.core.errors import ProtokeepError
from protokeep.core.provider_keys import label_of
from protokeep.service.context import Context
from protokeep.store.gauges import seconds_since
from protokeep.store.pool_usage import PoolUsage
from protokeep.store.sql import DatabaseError, Row

log = structlog.get_logger(__name__)

#: All of them: what they say, and the names of their labels. Those that end in `_total` only grow.
GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "protokeep_build_info": ("The version that runs; always 1", ("version", "python", "database")),
    "protokeep_database_up": ("Whether the database answered this reading (1) or not (0)", ()),
    "protokeep_heartbeat_age_seconds": ("Seconds since this process last wrote its heartbeat", ()),
    "protokeep_prototypes": ("Prototypes, counted a little while ago", ("provider", "state")),
    "protokeep_prototypes_counted_age_seconds": ("How old the counts of prototypes are", ()),
    "protokeep_unsent": ("Creates and changes that were not sent yet", ("request",)),
    "protokeep_oldest_unsent_seconds": ("Age of the oldest of them; 0: there is none", ("request",)),
    "protokeep_unanswered": ("Creates and changes that were sent and have no clear answer yet", ("request",)),
    "protokeep_oldest_unanswered_seconds": ("Age of the oldest of them; 0: there is none", ("request",)),
    "protokeep_accounts_held": ("Accounts whose creates wait", ("reason",)),
    "protokeep_accounts_polling_paused": ("Accounts whose checks wait or fail", ("reason",)),
    "protokeep_calls_left": ("Calls to the app builder that are left", ("account", "per")),
    "protokeep_bin_prototypes": ("Prototypes in the bin", ()),
    "protokeep_deletions": ("Deletions that the app builder has not carried out yet", ()),
    "protokeep_oldest_deletion_seconds": ("Age of the oldest of them; 0: there is none", ()),
    "protokeep_surplus_chats": ("Second chats that the app builder made for one create", ()),
    "protokeep_censuses": ("Scans that are not done", ("state",)),
    "protokeep_plans": ("Plans of clean-ups that are not done", ("state",)),
    "protokeep_database_connections": ("Connections to the database", ("pool", "use")),
    "protokeep_database_connections_limit": ("The most connections that a pool opens", ("pool",)),
    "protokeep_database_connections_waiting": ("Callers that wait for a connection now", ("pool",)),
    "protokeep_database_connection_waits_total": ("Callers that had to wait for a connection", ("pool",)),
    "protokeep_streams": ("Live streams that are open", ()),
}
#: The reasons of holds and pauses that have a label of their own.
REASONS = {
    "held": ("out_of_credits", "rate_limited", "unavailable"),
    "paused": ("rate_limited", "slowed", "short_of_calls", "polling_fails", "no_key"),
}
REQUESTS = ("create", "follow_up")
CENSUS_STATES = ("running", "paused")
PLAN_STATES = ("draft", "approved", "applying", "paused")
#: The longest that a reading of rows may take: who asks for metrics waits no longer than 10 s.
READ_SECONDS = 3.0
#: Counting all prototypes takes a tenth of a second for 100,000. It happens beside the readings, at most so often, and
#: takes at most a fiftieth of one connection's time.
COUNT_EVERY_SECONDS = 15.0
COUNT_SHARE = 50
#: How long the first reading waits for a count.
FIRST_COUNT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One number: its name in `GAUGES`, and the values of its labels."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Gauges:
    """Reads what stands in `GAUGES`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._counts = PrototypeCounts(context)
        #: Pools of connections by name.
        self.pools: dict[str, Callable[[], PoolUsage]] = {"store": context.store.database.usage}
        #: How many live streams are open; None: this process serves none.
        self.streams: Callable[[], int] | None = None

    async def read(self) -> list[Reading]:
        """All numbers that can be read. What stands in rows is missing while the database does not answer."""
        readings = [*self._of_process()]
        now = self._context.clock()
        try:
            async with asyncio.timeout(READ_SECONDS):
                rows = await self._context.store.gauges.read(now)
                counts = await self._counts.newest()
        except (ProtokeepError, DatabaseError, TimeoutError):
            return [*readings, Reading("protokeep_database_up", 0)]
        by_gauge: dict[str, list[Row]] = {}
        for row in rows:
            by_gauge.setdefault(row["gauge"], []).append({**row, "age": seconds_since(row, now)})
        return [*readings, Reading("protokeep_database_up", 1), *self._of_rows(by_gauge), *counts]

    def _of_process(self) -> Iterator[Reading]:
        database = "sqlite" if self._context.store.database.is_sqlite else "postgresql"
        yield Reading("protokeep_build_info", 1, (__version__, platform.python_version(), database))
        yield Reading("protokeep_heartbeat_age_seconds", self._context.heartbeat.age)
        if self.streams is not None:
            yield Reading("protokeep_streams", self.streams())
        for pool, usage_of_pool in self.pools.items():
            usage = usage_of_pool()
            yield Reading("protokeep_database_connections", usage.in_use, (pool, "in_use"))
            yield Reading("protokeep_database_connections", usage.idle, (pool, "idle"))
            yield Reading("protokeep_database_connections_limit", usage.limit, (pool,))
            yield Reading("protokeep_database_connections_waiting", usage.waiting, (pool,))
            yield Reading("protokeep_database_connection_waits_total", usage.waits, (pool,))

    def _of_rows(self, rows: Mapping[str, Sequence[Row]]) -> Iterator[Reading]:
        for gauge in ("unsent", "unanswered"):
            found = {row["label"]: row for row in rows.get(gauge, ())}
            for request in REQUESTS:
                row = found.get(request, {"number": 0, "age": 0.0})
                yield Reading(f"protokeep_{gauge}", row["number"], (request,))
                yield Reading(f"protokeep_oldest_{gauge}_seconds", row["age"], (request,))
        yield from _by_label("protokeep_accounts_held", rows.get("held", ()), REASONS["held"])
        yield from _by_label("protokeep_accounts_polling_paused", rows.get("paused", ()), REASONS["paused"])
        yield from _by_label("protokeep_censuses", rows.get("census", ()), CENSUS_STATES)
        yield from _by_label("protokeep_plans", rows.get("plan", ()), PLAN_STATES)
        limits = self._context.limits
        for per, limit in (("minute", limits.per_minute), ("day", limits.per_day)):
            for row in rows.get(per, ()) if limit else ():
                yield Reading("protokeep_calls_left", max(limit - row["number"], 0), (label_of(row["label"]), per))
        for gauge, name in (("bin", "bin_prototypes"), ("deleting", "deletions"), ("surplus", "surplus_chats")):
            for row in rows.get(gauge, ()):
                yield Reading(f"protokeep_{name}", row["number"])
        for row in rows.get("deleting", ()):
            yield Reading("protokeep_oldest_deletion_seconds", row["age"])


def _by_label(name: str, rows: Sequence[Row], known: Sequence[str]) -> Iterator[Reading]:
    """A number for each known label, 0 where there is no row. All other labels are one."""
    numbers = dict.fromkeys(known, 0)
    for row in rows:
        label = row["label"] if row["label"] in numbers else "other"
        numbers[label] = numbers.get(label, 0) + row["number"]
    for label, number in numbers.items():
        yield Reading(name, number, (label,))


class PrototypeCounts:
    """How many prototypes there are. Only the first reading waits for a count; later ones have the newest."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._counted: Counter[tuple[str, ...]] = Counter()
        self._counted_at: float | None = None
        self._next_at = float("-inf")
        self._counting: asyncio.Task[None] | None = None

    async def newest(self) -> list[Reading]:
        """The newest counts, and their age. Empty where nothing could be counted yet."""
        if self._context.elapsed() >= self._next_at and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count())
        if self._counted_at is None and self._counting is not None:
            await asyncio.wait({self._counting}, timeout=FIRST_COUNT_SECONDS)
        if self._counted_at is None:
            return []
        age = self._context.elapsed() - self._counted_at
        counts = [Reading("protokeep_prototypes", number, labels) for labels, number in self._counted.items()]
        return [*counts, Reading("protokeep_prototypes_counted_age_seconds", age)]

    async def _count(self) -> None:
        began = self._context.elapsed()
        try:
            counted: Counter[tuple[str, ...]] = Counter()
            for row in await self._context.store.gauges.count_prototypes():
                known = self._context.providers.is_known(row["provider"])  # Rows of the owner's may name anything.
                counted[row["provider"] if known else "other", row["state"]] += row["number"]
            self._counted, self._counted_at = counted, began
        except (ProtokeepError, DatabaseError) as error:
            log.warning("prototypes_not_counted", error=type(error).__name__, reason=str(error))
        took = self._context.elapsed() - began
        self._next_at = began + max(COUNT_EVERY_SECONDS, COUNT_SHARE * took)
