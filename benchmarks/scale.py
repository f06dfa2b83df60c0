"""How far an account and a database reach: the real pacing code with a fake clock, and sums of what was measured.

    python -m benchmarks.scale [--watched 0.25] [--seed 1] [--people-per-workspace 50] ...

Measured figures are read from docs/benchmarks.md, so that no table here holds a figure of its own. Accounts do not
depend on each other: one is simulated for each kind, and stands for all that are like it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta

from benchmarks.measured import figure
from benchmarks.pacing import BEGIN, Account, Ask, Outcome
from protokeep.bus import Bus, Change
from protokeep.core.call_budget import Limits
from protokeep.core.connection_limits import ConnectionLimits
from protokeep.settings import Settings

DEFAULTS = Settings.model_fields
LIMITS = Limits(DEFAULTS["v0_calls_per_minute"].default, DEFAULTS["v0_calls_per_day"].default)
NO_DAY = Limits(LIMITS.per_minute, 0)
#: (version of v0's API, whether hooks are installed), by the name that tables give it.
WAYS = {"v1": (1, False), "v1 with hooks": (1, True), "v2": (2, False), "v2 with hooks": (2, True)}
#: Prototypes a day that are tried for one account, and what people wait at the most for 95 % of them.
STEPS = (50, 100, 200, 300, 400, 500, 600, 800, 1000, 1300, 1600, 2000)
WAITS = {"10 s": 10.0, "60 s": 60.0, "10 min": 600.0}
#: How a million is spread: prototypes in flight in each account, and the account's limits.
MILLION = ((10, LIMITS), (100, LIMITS), (1000, LIMITS), (1000, NO_DAY), (4000, NO_DAY))
HALF_A_CORE = 0.5
#: What viewers hear of a prototype: that it was claimed, accepted, is ready, and has its picture.
EVENTS = 4


@dataclass(frozen=True)
class Inputs:
    """What is assumed about people; each is an option of the command. Counts are of one person's busiest hour."""

    shortest: float = field(default=60.0, metadata={"says": "seconds that the app builder takes, at least"})
    longest: float = field(default=300.0, metadata={"says": "seconds that it takes, at most"})
    watched: float = field(default=0.25, metadata={"says": "share of prototypes that a person watches"})
    hours: float = field(default=8.0, metadata={"says": "hours of a working day, from 9:00 UTC"})
    asks: float = field(default=3.0, metadata={"says": "clicks on create"})
    reused: float = field(default=0.9, metadata={"says": "share of clicks that reuse a prototype"})
    statuses: float = field(default=60.0, metadata={"says": "status requests"})
    lists: float = field(default=10.0, metadata={"says": "lists of a product"})
    homes: float = field(default=10.0, metadata={"says": "home pages"})
    searches: float = field(default=2.0, metadata={"says": "searches"})
    streams: float = field(default=0.5, metadata={"says": "share of people with a page open"})
    busiest: float = field(default=0.25, metadata={"says": "share of a day's clicks in its busiest hour"})
    people_per_workspace: float = field(default=50.0, metadata={"says": "people of a workspace"})
    picture: float = field(default=100.0, metadata={"says": "kB of a picture"})
    seed: float = field(default=1.0, metadata={"says": "seed of the random times"})

    def asked(self, count: int, within: timedelta, *, watched: bool = True) -> list[Ask]:
        """So many prototypes, asked for at random times."""
        chance = random.Random(self.seed)
        share = self.watched if watched else 0.0
        return [
            Ask(
                BEGIN + within * chance.random(),
                timedelta(seconds=chance.uniform(self.shortest, self.longest)),
                chance.random() < share,
            )
            for _ in range(count)
        ]


def simulated(way: str, limits: Limits, asks: Sequence[Ask]) -> Outcome:
    """A day of one account, and the next one for what is not known by then."""
    version, hooked = WAYS[way]
    return Account(version, limits, hooked=hooked).run(asks, BEGIN + timedelta(days=1))


def seconds_of(value: float) -> str:
    """A time for people."""
    if value == float("inf"):
        return "over a day"
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def table(*rows: Sequence[str]) -> str:
    """A Markdown table; its first row is the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def compared(inputs: Inputs) -> str:
    """The simulation beside the run of `benchmarks.tracking` with the same load."""
    rows = [
        ("4,000 at once", "calls/s, simulated", "measured", "p50, simulated", "measured", "p95, simulated", "measured")
    ]
    for way in WAYS:
        asks = inputs.asked(4000, timedelta(seconds=30), watched=False)
        outcome = simulated(way, Limits(), asks)
        took = (outcome.last_end - BEGIN).total_seconds()
        measured = [figure("Polling thousands with few calls", way, column, columns=11) for column in (1, 4, 5)]
        calls = (outcome.calls.total() - len(asks)) / took
        rows.append(
            (
                *(way, f"{calls:.1f}", f"{measured[0]:g}"),
                *(
                    seconds_of(outcome.lag(0.5)),
                    f"{measured[1]:g} s",
                    seconds_of(outcome.lag(0.95)),
                    f"{measured[2]:g} s",
                ),
            )
        )
    return table(*rows)


class Days:
    """Working days of one account, by way and number of prototypes; each is simulated once."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._known: dict[tuple[str, int], Outcome] = {}

    def of(self, way: str, count: int) -> Outcome:
        """A day with so many prototypes."""
        if (way, count) not in self._known:
            asks = self._inputs.asked(count, timedelta(hours=self._inputs.hours))
            self._known[way, count] = simulated(way, LIMITS, asks)
        return self._known[way, count]

    def most(self, way: str, wait: float) -> int:
        """The most prototypes of `STEPS` of which 95 % are known within `wait` seconds; 0: not even the fewest."""
        most = 0
        for count in STEPS:  # Upwards, because an account without calls takes long to simulate.
            if self.of(way, count).lag(0.95) > wait:
                break
            most = count
        return most


def days_table(days: Days) -> str:
    """A working day of one account."""
    rows = [("prototypes a day", "API", "calls of the day", "busiest minute", "known after, p50", "p95")]
    for count in (100, 300, 1000):
        for way in WAYS:
            day = days.of(way, count)
            lags = seconds_of(day.lag(0.5)), seconds_of(day.lag(0.95))
            rows.append((f"{count:,}", way, f"{day.calls.total():,}", f"{max(day.calls.values()):,}", *lags))
    return table(*rows)


def carries_table(days: Days) -> str:
    """How many prototypes a day an account carries."""
    head = ("API", *(f"95 % known within {name}" for name in WAITS))
    return table(head, *((way, *(f"{days.most(way, wait):,}" for wait in WAITS.values())) for way in WAYS))


def million_table(inputs: Inputs) -> str:
    """A million prototypes in flight at once, over so many accounts."""
    rows = [
        (
            "accounts",
            "in flight in each",
            "API",
            "day's limit",
            "calls of each",
            "known after, p50",
            "p95",
            "all known after",
            "commits/s",
        )
    ]
    for each, limits in MILLION:
        for way in WAYS:
            one = simulated(way, limits, inputs.asked(each, timedelta(minutes=1), watched=False))
            took = (one.last_end - BEGIN).total_seconds()
            limit = f"{limits.per_day:,}" if limits.per_day else "none"
            lags = seconds_of(one.lag(0.5)), seconds_of(one.lag(0.95))
            all_known = "over a day" if one.unseen else seconds_of(took)
            commits = one.commits * (10**6 // each) / took
            start = f"{10**6 // each:,}", f"{each:,}", way, limit
            rows.append((*start, f"{one.calls.total():,}", *lags, all_known, f"{commits:,.0f}"))
    return table(*rows)


def notification_us() -> float:
    """What a process pays to read a notification of another one; measured in this run."""
    bus, told = Bus(), Bus().encode(Change("w", "p", "m" * 36, "v0:a", "changed"))
    began = time.process_time()
    for _ in range(20_000):
        bus.receive(told)
    return (time.process_time() - began) / 20_000 * 1e6


def costs() -> dict[str, tuple[float, str]]:
    """Processor time of a server in microseconds, by operation, and the section of docs/benchmarks.md that says so."""
    requests, growth, searches = (
        "A reuse, a status, a list",
        "A million prototypes",
        "Searches, and what exists already",
    )
    starts, page, polls = (
        "Durable starts, compared with DBOS and PgQueuer",
        "The page",
        "Polling thousands with few calls",
    )
    frequent, event = (
        "PostgreSQL, 100,000 prototypes: search: a frequent word",
        "CPU of the server for an event to 1,000 viewers",
    )
    made = figure(starts, "PostgreSQL | started, sent and finished", 0, after=r"\(")
    poll = {way: figure(polls, way, 7, columns=11) / figure(polls, way, 1, columns=11) * 1e6 for way in ("v1", "v2")}
    return {
        "reuse": (figure(requests, "PostgreSQL: reuse", 1), requests),
        "status": (figure(requests, "PostgreSQL: status", 1), requests),
        "list of a product": (figure(requests, "PostgreSQL: list", 1), requests),
        "home page": (figure(growth, "PostgreSQL: home page", 2), growth),
        "search for a frequent word, in the service": (
            figure(searches, frequent, 1, after="own CPU ") * 1000,
            searches,
        ),
        "create, sent and finished, in the service": (made, starts),
        "call of a poll, v1 (50 chats)": (poll["v1"], polls),
        "call of a poll, v2 (one chat)": (poll["v2"], polls),
        "live event, for each viewer": (figure(page, event, 2), page),
        "notification of another process": (notification_us(), "this one"),
    }


def servers_table(inputs: Inputs, days: Days, cost: dict[str, float]) -> str:
    """The busiest hour of 1 to 1,000 servers, each of which works half of the time."""
    creates = inputs.asks * (1 - inputs.reused)
    carried = max(days.most("v2 with hooks", WAITS["60 s"]), 1)
    day = days.of("v2 with hooks", carried)
    viewers = inputs.people_per_workspace * inputs.streams
    hour = (
        inputs.asks * inputs.reused * cost["reuse"]
        + inputs.statuses * cost["status"]
        + inputs.lists * cost["list of a product"]
        + inputs.homes * cost["home page"]
        + inputs.searches * cost["search for a frequent word, in the service"]
        + creates * cost["create, sent and finished, in the service"]
        + creates * day.calls.total() / carried * cost["call of a poll, v2 (one chat)"]
        + creates * EVENTS * viewers * cost["live event, for each viewer"]
    ) / 1e6
    people = HALF_A_CORE * 3600 / hour
    reads = inputs.asks * inputs.reused + inputs.statuses + inputs.lists + inputs.homes + inputs.searches
    idle = figure("Rows that many write", "the same: those that write", 1)
    commits = figure("Commits on a slow disk", "beside them, gathered for 0.1 s", 1)
    sizes = (1, 10, 100, 1000)
    per_second = [size * people * creates / 3600 for size in sizes]
    told = [size_creates * EVENTS for size_creates in per_second]
    used = [
        creates_now * day.commits / carried + idle * size for creates_now, size in zip(per_second, sizes, strict=True)
    ]

    def row(name: str, values: Sequence[float], form: str = ",.0f") -> tuple[str, ...]:
        return name, *(format(value, form) for value in values)

    day_of = [creates_now * 3600 / inputs.busiest for creates_now in per_second]
    return table(
        ("in the busiest hour", *(f"{size:,} server" + "s" * (size > 1) for size in sizes)),
        row("people", [size * people for size in sizes]),
        row("reads a second: reuse, status, lists, pages, searches", [size * people * reads / 3600 for size in sizes]),
        row("workspaces", [size * people / inputs.people_per_workspace for size in sizes]),
        row("prototypes made a day", day_of),
        row(f"accounts of v2 with hooks, {carried:,} prototypes a day each", [-(-one // carried) for one in day_of]),
        row("prototypes in flight", [one * (inputs.shortest + inputs.longest) / 2 for one in per_second]),
        row("commits a second", used, ",.1f"),
        row(f"the same, of {commits:.0f} that a disk with 5 ms takes", [one / commits for one in used], ".0%"),
        row("of them by servers that do nothing", [idle * size for size in sizes], ",.1f"),
        row("connections to PostgreSQL", [size * ConnectionLimits().connections for size in sizes]),
        row("the same, direct ones beside a pooler", [size * 4 for size in sizes]),
        row("notifications that each server reads, a second", told, ",.1f"),
        row(
            "the same, share of its core", [one * cost["notification of another process"] / 1e6 for one in told], ".2%"
        ),
        row("open streams of a server, of 5,000", [people * inputs.streams] * len(sizes)),
        row("GB of pictures in 250 days", [one * 250 * inputs.picture / 1e6 for one in day_of]),
    )


def main() -> int:
    """Print what is assumed, and the tables."""
    parser = argparse.ArgumentParser()
    for one in fields(Inputs):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=float, default=one.default)
    inputs = Inputs(**vars(parser.parse_args()))
    days, cost = Days(inputs), costs()
    assumed = table(
        ("assumed", "value"), *((one.metadata["says"], f"{getattr(inputs, one.name):g}") for one in fields(Inputs))
    )
    spent = table(
        ("operation", "processor, us", "section"), *((name, f"{us:,.0f}", of) for name, (us, of) in cost.items())
    )
    parts: dict[str, Callable[[], str]] = {
        "Assumed": lambda: assumed,
        "Measured cost of an operation (PostgreSQL)": lambda: spent,
        "A working day of one account, with the default limits": lambda: days_table(days),
        "Prototypes a day that one account carries": lambda: carries_table(days),
        "Servers that are half busy": lambda: servers_table(inputs, days, {name: us for name, (us, _) in cost.items()}),
        "The simulation beside a measured run": lambda: compared(inputs),
        "A million prototypes, asked for within a minute": lambda: million_table(inputs),
    }
    for name, part in parts.items():
        sys.stdout.write(f"### {name}\n\n{part()}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
