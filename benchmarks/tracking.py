"""Following prototypes: upstream calls, time from done to known, CPU and memory of one serving process.

`python -m benchmarks.tracking` takes about five minutes, `--full` (4,000 in flight, 60-300 s) about half an hour.
Real processes: `protokeep serve` on SQLite and the emulated v0, each alone; only /proc and HTTP are looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx2

TICKS = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 3.0


@dataclass
class Process:
    """A child process and what it used."""

    child: asyncio.subprocess.Process
    url: str

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory_mb(self) -> float:
        """The most that was resident so far."""
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0


@dataclass
class World:
    """The emulator, one protokeep, and clients of both."""

    sandbox: Process
    server: Process
    v0: httpx2.AsyncClient
    http: httpx2.AsyncClient
    database: Path
    env: dict[str, str]

    async def calls(self) -> int:
        """Calls that reached the emulated v0, pictures included."""
        stats = (await self.v0.get("/_sandbox/stats")).json()
        return sum(stats["calls"].values())

    async def create(self, products: list[str], at_once: int = 40) -> None:
        """A prototype for each product, accepted by the builder."""
        places = asyncio.Semaphore(at_once)

        async def one(product: str) -> None:
            async with places:
                body = {"product_id": product, "prompt": "A shop with a cart, three products and a checkout page."}
                answer = await self.http.post("/api/design/create-project", json=body)
                if answer.status_code not in (200, 201, 202):
                    raise RuntimeError(answer.text)

        await asyncio.gather(*(one(product) for product in products))

    async def finished(self, count: int, patience: float) -> None:
        """Wait until that many are settled."""
        ends = time.monotonic() + patience
        while time.monotonic() < ends:
            if len(self.known()) >= count:
                return
            await asyncio.sleep(1)
        raise RuntimeError(f"only {len(self.known())} of {count} were settled in time")

    def known(self) -> dict[str, datetime]:
        """When each chat's end was known here."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            rows = database.execute(
                "SELECT m.v0_chat_id, g.settled_at FROM protokeep_generations g"
                " JOIN design_mockups m ON m.id = g.mockup_id WHERE g.settled_at IS NOT NULL"
            ).fetchall()
        return {chat: datetime.fromisoformat(at) for chat, at in rows}

    async def ended(self) -> dict[str, tuple[datetime, datetime]]:
        """When each chat began and ended there."""
        rows = (await self.v0.get("/_sandbox/chats", timeout=60)).json()["chats"]
        return {row["id"]: (_moment(row["created_at"]), _moment(row["ends_at"])) for row in rows}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _started(arguments: list[str], env: dict[str, str], cwd: Path, word: str) -> Process:
    code = f"from protokeep.cli import app; app({arguments!r})"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=env, cwd=cwd, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    stderr = child.stderr
    if stderr is None:
        raise RuntimeError("no stderr")
    while line := (await asyncio.wait_for(stderr.readline(), 60)).decode():
        if word in line:
            url = line.split(word)[1].split()[0]
            _drain(stderr)
            return Process(child, url)
    raise RuntimeError(f"{arguments[0]} did not start")


_drains: set[asyncio.Task[None]] = set()


def _drain(stream: asyncio.StreamReader) -> None:
    async def read() -> None:
        while await stream.read(65536):
            pass

    task = asyncio.create_task(read())
    _drains.add(task)
    task.add_done_callback(_drains.discard)


@contextlib.asynccontextmanager
async def world(version: int, low: float, high: float, *, hooks: bool = False) -> AsyncIterator[World]:
    """Both processes, fresh; generations take from `low` to `high` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        database = cwd / "bench.db"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        sandbox = await _started(["sandbox", "--port", "0"], env, cwd, "sandbox on ")
        env |= {
            "PROTOKEEP_DATABASE_URL": f"sqlite:///{database}",
            "PROTOKEEP_REQUESTS_PER_MINUTE": "0",
            "PROTOKEEP_V0_CALLS_PER_MINUTE": "0",
            "PROTOKEEP_V0_CALLS_PER_DAY": "0",
            "PROTOKEEP_CREATES_PER_PERSON": "0",
            "PROTOKEEP_CREATES_PER_PRODUCT": "0",
            "PROTOKEEP_CREATES_PER_WORKSPACE": "0",
            "PROTOKEEP_LOG_LEVEL": "warning",
            "V0_API_KEY": "bench",
            "V0_BASE_URL": sandbox.url,
            "V0_API_VERSION": str(version),
        }
        server = await _started(["serve", "--port", "0"], env, cwd, "serving on ")
        env["PROTOKEEP_PUBLIC_URL"] = server.url
        token = await _output(["token", "create", "--plain", "--role", "admin"], env, cwd)
        if hooks:
            await _output(["hooks", "install"], env, cwd)
        limits = httpx2.Limits(max_connections=400)
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(base_url=sandbox.url, trust_env=False) as v0,
            httpx2.AsyncClient(
                base_url=server.url, headers=headers, trust_env=False, timeout=60, limits=limits
            ) as http,
        ):
            await v0.patch("/_sandbox/knobs", json={"generation_seconds": [low, high]})
            try:
                yield World(sandbox, server, v0, http, database, env)
            finally:
                for process in (server, sandbox):
                    process.child.terminate()
                    await process.child.wait()


async def _output(arguments: list[str], env: dict[str, str], cwd: Path) -> str:
    code = f"from protokeep.cli import app; app({arguments!r})"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=env, cwd=cwd, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"{arguments} failed")
    return output.decode().strip()


async def watched(version: int, *, hooks: bool, prototypes: int) -> str:
    """Calls per finished prototype: 40 s each, five viewers polling each every three seconds."""
    async with world(version, 40, 40, hooks=hooks) as made:
        before = await made.calls()
        products = [f"p-{index}" for index in range(prototypes)]
        watching = [asyncio.create_task(_watch(made, p, index)) for index in range(5) for p in products]
        await made.create(products)
        await made.finished(prototypes, 120)
        await asyncio.sleep(3)  # What is read once at the end, is.
        calls = await made.calls() - before
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    name = f"v{version}{' with hooks' if hooks else ''}"
    goal = {(1, False): 2, (1, True): 2, (2, False): 15, (2, True): 3}[version, hooks]
    return f"| {name} | {prototypes} | {calls / prototypes:.2f} | <= {goal} |"


async def _watch(made: World, product: str, index: int) -> None:
    await asyncio.sleep(1 + index * POLL_SECONDS / 5)
    while True:
        await made.http.get(f"/api/design/mockups/{product}/status")
        await asyncio.sleep(POLL_SECONDS)


async def in_flight(version: int, *, hooks: bool, count: int, low: float, high: float) -> str:
    """Many at once and nobody watching."""
    async with world(version, low, high, hooks=hooks) as made:
        await made.create([f"p-{index}" for index in range(count)])
        cpu, began, calls = made.server.cpu_seconds, time.monotonic(), await made.calls()
        peak_cpu = await _steady(made)
        await made.finished(count, high + 180)
        seconds = time.monotonic() - began
        used = made.server.cpu_seconds - cpu
        looks = await made.calls() - calls
        memory = made.server.memory_mb
        known, ended = made.known(), await made.ended()
        waits = sorted((known[chat] - ended[chat][1]).total_seconds() for chat in known)
        lengths = sum((ended[chat][1] - ended[chat][0]).total_seconds() for chat in known)
    polls = lengths / POLL_SECONDS
    p50, p95 = statistics.median(waits), waits[int(len(waits) * 0.95)]
    name = f"v{version}{' with hooks' if hooks else ''}"
    fewer = f"{polls / max(looks, 1):.0f}" if polls / max(looks, 1) >= 10 else f"{polls / max(looks, 1):.1f}"
    return (
        f"| {name} | {count:,} | {looks / seconds:.1f} | {fewer} x | {p50:.1f} s | {p95:.1f} s"
        f" | {peak_cpu:.2f} | {used / seconds:.2f} | {memory:.0f} MB |"
    )


async def _steady(made: World) -> float:
    """Share of a core while (nearly) all are in flight: twenty seconds from now."""
    cpu, began = made.server.cpu_seconds, time.monotonic()
    await asyncio.sleep(20)
    return (made.server.cpu_seconds - cpu) / (time.monotonic() - began)


async def crowd(version: int, *, viewers: int, seconds: float) -> str:
    """Viewers polling the status of twenty prototypes, which go on for longer than that."""
    products = [f"p-{index}" for index in range(20)]
    async with world(version, 600, 600) as made:
        await made.create(products)
        await asyncio.sleep(5)
        calls, cpu, began = await made.calls(), made.server.cpu_seconds, time.monotonic()
        times: list[float] = []

        async def view(index: int) -> None:
            await asyncio.sleep(POLL_SECONDS * index / viewers)
            while time.monotonic() - began < seconds:
                asked = time.monotonic()
                await made.http.get(f"/api/design/mockups/{products[index % 20]}/status")
                times.append(time.monotonic() - asked)
                await asyncio.sleep(max(POLL_SECONDS - (time.monotonic() - asked), 0))

        await asyncio.gather(*(view(index) for index in range(viewers)))
        took = time.monotonic() - began
        upstream = await made.calls() - calls
        share = (made.server.cpu_seconds - cpu) / took
    times.sort()
    p50, p95 = (1000 * times[int(len(times) * part)] for part in (0.5, 0.95))
    return (
        f"| v{version} | {viewers:,} | {len(times) / took:.0f} | {upstream / took:.2f} | {p50:.0f} ms"
        f" | {p95:.0f} ms | {share:.2f} |"
    )


async def _run(*, full: bool, only: str | None, versions: tuple[int, ...]) -> None:
    command = f"python -m benchmarks.tracking{' --full' if full else ''}{f' --only {only}' if only else ''}"
    command += f" --api {versions[0]}" if len(versions) == 1 else ""
    cases = [(version, hooks) for version in versions for hooks in (False, True)]
    print(f"`{command}`\n", flush=True)
    if only in (None, "watched"):
        print("Five viewers of each prototype for 40 s, each asking every 3 s (the first system: 64.8 and 131.3):\n")
        print("| API | prototypes at once | upstream calls per finished prototype | goal |\n|---|---|---|---|")
        for version, hooks in cases:
            print(await watched(version, hooks=hooks, prototypes=100 if full else 60), flush=True)
    if only in (None, "in-flight"):
        count, low, high = (4000, 60.0, 300.0) if full else (1000, 30.0, 90.0)
        print(
            f"\n{count:,} in flight, {low:.0f}-{high:.0f} s each, nobody watching; one process, SQLite, the emulator in"
            " another.\nFewer: against one poll every 3 s per prototype (goals: v1 50 x, v2 5 x). Done to known: from"
            " the builder's end to our row\n(goals: v1 p95 <= 6 s, with hooks p95 <= 1 s). Goals of CPU 0.5 core, of"
            " memory 250 MB.\n"
        )
        print(
            "| API | in flight | calls/s | fewer | done to known p50 | p95 | CPU, all in flight | CPU, mean | memory |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for version, hooks in cases:
            print(await in_flight(version, hooks=hooks, count=count, low=low, high=high), flush=True)
    if only in (None, "crowd"):
        print("\nViewers asking for the status of 20 prototypes every 3 s (goal: as many calls as 20 viewers make):\n")
        print(
            "| API | viewers | answers/s | upstream calls/s | answer p50 | p95 | CPU |\n|---|---|---|---|---|---|---|"
        )
        for version in versions:
            for viewers in (20, 1000):
                print(await crowd(version, viewers=viewers, seconds=60 if full else 30), flush=True)


def run(*, full: bool = False, only: str | None = None, versions: tuple[int, ...] = (1, 2)) -> None:
    """Print the figures as Markdown."""
    asyncio.run(_run(full=full, only=only, versions=versions))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="4,000 in flight, 60-300 s")
    parser.add_argument("--only", choices=["watched", "in-flight", "crowd"])
    parser.add_argument("--api", type=int, choices=(1, 2), help="one version only")
    given = parser.parse_args()
    run(full=given.full, only=given.only, versions=(given.api,) if given.api else (1, 2))
