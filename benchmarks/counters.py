"""Rows that many requests write: claims of one workspace and of many, and counts of calls of one account and of many.

PostgreSQL, on a disk that takes some milliseconds longer for each write that it has to keep (see `benchmarks.commits`).

Then what a server writes that has nothing to do: each one that is added adds as much.

    python -m benchmarks.counters [--writers 32] [--seconds 6] [--milliseconds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

from benchmarks.commits import server_on_slow_disk
from benchmarks.harness import crowded, new_port, started
from benchmarks.requests import environment, serve_command
from protokeep.bus import Bus
from protokeep.core.connection_limits import ConnectionLimits
from protokeep.core.create_request import CreateRequest
from protokeep.core.quotas import Quotas
from protokeep.store.database import Database
from protokeep.store.sql import Statement
from protokeep.store.store import Store

#: Transactions of the database so far, and those of the server that wrote something.
TRANSACTIONS = Statement(
    "SELECT xact_commit AS all_of_them, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS writing"
    " FROM pg_stat_database WHERE datname = current_database()"
)
IDLE_SECONDS = 30
#: What a writer does once; its arguments are the number of the writer, and of the turn.
Write = Callable[[int, int], Awaitable[object]]


def writes_of(store: Store, many: int) -> dict[str, Write]:
    """Each kind of write, by the name of its row in the table."""

    def claim(workspaces: int, quotas: Quotas) -> Write:
        async def once(writer: int, turn: int) -> object:
            mockup_id, workspace = str(uuid4()), f"w{writer % workspaces}"
            product, person, now = f"p-{mockup_id}", f"person-{writer}", datetime.now(UTC)
            request = CreateRequest(
                mockup_id, workspace, product, "v0", "A page", person, "v0:environment", 2, mockup_id, now
            )
            return await store.claim(request, quotas)

        return once

    def count(accounts: int) -> Write:
        async def once(writer: int, turn: int) -> object:
            return await store.accounts.spend(f"v0:{writer % accounts}", 1, datetime.now(UTC))

        return once

    quotas = Quotas(10**6, 10**6, 10**6)
    return {
        "claims of one workspace, without quotas": claim(1, Quotas()),
        "claims of one workspace, with the three quotas": claim(1, quotas),
        f"claims of {many} workspaces, with the three quotas": claim(many, quotas),
        "counts of calls of one account": count(1),
        f"counts of calls of {many} accounts": count(many),
    }


async def rate(write: Write, writers: int, seconds: float) -> float:
    """How many writes a second so many writers make together."""
    ends, done = time.perf_counter() + seconds, itertools.count()

    async def write_on(writer: int) -> None:
        for turn in itertools.count():
            if time.perf_counter() >= ends:
                return
            await write(writer, turn)
            next(done)

    async with asyncio.TaskGroup() as group:
        for writer in range(writers):
            group.create_task(write_on(writer))
    return next(done) / seconds


async def idle(database: Database, url: str) -> dict[str, float]:
    """Transactions a second of a server that has nothing to do."""
    port = new_port()
    async with started(serve_command(port), f"http://127.0.0.1:{port}/readyz", environment(url)):
        await asyncio.sleep(5)
        before = (await database.read(TRANSACTIONS))[0]
        await asyncio.sleep(IDLE_SECONDS)
        after = (await database.read(TRANSACTIONS))[0]
    return {name: (after[name] - before[name]) / IDLE_SECONDS for name in before}


async def main() -> int:
    """Measure each kind of write; print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--milliseconds", type=float, default=5.0)
    given = parser.parse_args()
    sys.stdout.write(
        f"{given.writers} writers, a disk that takes {given.milliseconds:g} ms longer. {crowded()}\n\n"
        "| written | a second |\n|---|---:|\n"
    )
    async with server_on_slow_disk(given.milliseconds) as url:
        database = Database(url, ConnectionLimits(given.writers + 4))
        spent = await idle(database, url)
        for name, write in writes_of(Store(database, Bus()), given.writers).items():
            sys.stdout.write(f"| {name} | {await rate(write, given.writers, given.seconds):.0f} |\n")
        sys.stdout.write(f"| transactions of an idle server | {spent['all_of_them']:.1f} |\n")
        sys.stdout.write(f"| the same: those that write | {spent['writing']:.1f} |\n")
        await database.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
