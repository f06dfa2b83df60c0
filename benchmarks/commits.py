"""Commits per second on a slow disk, and how soon another process hears of each: NOTIFY inside and beside transactions.

A small C library that the server preloads lets every fdatasync and fsync take 5 ms longer, as a busy network disk does.
Writers save a status with its event, as a poll that found something new; each writes its own prototypes.

    python -m benchmarks.commits [--writers 32] [--seconds 8] [--milliseconds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import crowded
from benchmarks.rows import fill
from postgres import PostgresServer
from protokeep.bus import CHANNEL, Bus, Change
from protokeep.core.connection_limits import ConnectionLimits
from protokeep.core.events import Event, Source
from protokeep.core.prototype import TrackedPrototype
from protokeep.store.database import Database
from protokeep.store.migrate import migrate
from protokeep.store.notifications import listening
from protokeep.store.sql import Connection, Statement
from protokeep.store.store import Store

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slowly(const char *name, int file) {
    int (*call)(int) = dlsym(RTLD_NEXT, name);
    usleep(MILLISECONDS * 1000);
    return call(file);
}
int fdatasync(int file) { return slowly("fdatasync", file); }
int fsync(int file) { return slowly("fsync", file); }
"""
SETTINGS = {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB", "wal_sync_method": "fdatasync"}
NOTIFY = Statement("SELECT pg_notify(:channel, :payload)")


@dataclass
class Figures:
    """What one way of telling came to."""

    commits: float = 0.0
    heard: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        worst = sorted(self.heard) or [0.0]
        p99 = worst[int(len(worst) * 0.99)]
        return f"| {name} | {self.commits:.0f} | {statistics.median(worst):.3f} s | {p99:.3f} s |\n"


@contextlib.contextmanager
def slow_disk(milliseconds: float) -> Iterator[None]:
    """Programs that are started meanwhile wait so long for the disk."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("a C compiler is needed, such as Debian's package gcc")
    folder = Path(tempfile.mkdtemp(prefix="protokeep-disk-"))
    folder.chmod(0o755)
    (folder / "slow.c").write_text(SHIM)
    library = folder / "slow.so"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        f"-DMILLISECONDS={milliseconds:g}",
        "-o",
        str(library),
        str(folder / "slow.c"),
    ]
    subprocess.run([*command, "-ldl"], check=True)
    os.environ["LD_PRELOAD"] = str(library)
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"]
        shutil.rmtree(folder)


async def measure(url: str, writers: int, seconds: float, *, inside: bool) -> Figures:
    """Save as often as possible; `inside`: each transaction notifies by itself, as it did up to November 2026."""
    database = Database(url, ConnectionLimits(writers + 4))
    bus, other = Bus(), Bus()
    store = Store(database, bus)
    rows = await database.read(Statement("SELECT mockup_id FROM protokeep_generations LIMIT :n"), {"n": writers})
    figures = Figures()
    committed: dict[str, float] = {}
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(listening(other, url))
        if not inside:
            await stack.enter_async_context(listening(bus, url))
        await asyncio.sleep(1)
        stack.push_async_callback(_stop, asyncio.create_task(_hear(other, committed, figures)))
        ends = time.perf_counter() + seconds

        async def write(mockup_id: str) -> int:
            prototype, count = await store.get_unscoped(mockup_id), 0
            assert isinstance(prototype, TrackedPrototype)

            async def belongs(connection: Connection) -> None:
                if inside:
                    change = Change("default", "p", mockup_id, "", "changed")
                    await connection.fetch_one(NOTIFY, {"channel": CHANNEL, "payload": bus.encode(change)})

            while time.perf_counter() < ends:
                event = Event("status", Source.POLL, datetime.now(UTC), status="completed")
                saved = await store.save(prototype, prototype, event, belongs=belongs)
                assert saved is not None
                prototype, count = saved, count + 1
                committed.setdefault(mockup_id, time.perf_counter())
            return count

        counts = await asyncio.gather(*(write(str(row["mockup_id"])) for row in rows))
        await asyncio.sleep(0.5)
    figures.commits = sum(counts) / seconds
    await database.close()
    return figures


async def _hear(bus: Bus, committed: dict[str, float], figures: Figures) -> None:
    """Note how long after the first commit that it was not told of a prototype is heard of."""
    with bus.subscribed() as changes:
        while True:
            change = await changes.get()
            if (at := committed.pop(change.mockup_id, None)) is not None:
                figures.heard.append(time.perf_counter() - at)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def server_on_slow_disk(milliseconds: float) -> AsyncIterator[str]:
    """The address of a database with 500 prototypes, whose server waits so long for each write to its disk."""
    server = PostgresServer({**SETTINGS, "max_connections": "150"})
    with slow_disk(milliseconds):
        server.start()
    try:
        url = server.create_database()
        await migrate(url)
        await fill(url, 500)
        yield url
    finally:
        await asyncio.to_thread(server.stop)


async def main() -> int:
    """Measure both ways; print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--milliseconds", type=float, default=5.0)
    given = parser.parse_args()
    before = crowded()
    async with server_on_slow_disk(given.milliseconds) as url:
        inside = await measure(url, given.writers, given.seconds, inside=True)
        beside = await measure(url, given.writers, given.seconds, inside=False)
    sys.stdout.write(
        f"{given.writers} writers, a disk that takes {given.milliseconds:g} ms longer.\n\n"
        "| NOTIFY | commits a second | another process hears, median | p99 |\n|---|---|---|---|\n"
        + inside.row("inside each writing transaction (before)")
        + beside.row("beside them, gathered for 0.1 s")
        + f"\n{before}\n"
    )
    return 0 if beside.commits > inside.commits else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
