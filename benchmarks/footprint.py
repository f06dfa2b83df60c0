"""Memory of a server, idle, with viewers and after many requests; how soon it starts; what a second process gains.

All of it as users have it: in an environment that holds what `requirements/runtime.txt` pins, and nothing else.

python -m benchmarks.footprint
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import (
    ROOT,
    Call,
    cpu_seconds,
    crowded,
    databases,
    load,
    median_of,
    new_port,
    resident,
    started,
)
from benchmarks.requests import SECRET, environment, serve_command
from benchmarks.rows import fill, token_for, tokens_for
from protokeep.store.migrate import migrate

VIEWERS = 1000
PER_PERSON = 40
REQUESTS = 100_000
STARTS = 5
PRODUCT = "product-000021"
HEAD = "| what | goal | SQLite | PostgreSQL |\n|---|---|---|---|"


@contextlib.contextmanager
def installed() -> Iterator[Path]:
    """The Python of a new environment with all that protokeep needs at run time, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        needed = ROOT / "requirements" / "runtime.txt"
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", needed], check=True)
        subprocess.run([python, "-m", "compileall", "-qq", ROOT / "src", folder], check=False)
        yield python


async def memory(url: str, python: Path) -> dict[str, float]:
    """Megabytes that the server's process holds."""
    await migrate(url)
    await fill(url, 1000)
    tokens = await tokens_for(url, SECRET, VIEWERS // PER_PERSON)
    port = new_port()
    server = f"http://127.0.0.1:{port}"
    async with started(serve_command(port, python), f"{server}/readyz", environment(url)) as pid:
        await asyncio.sleep(3)
        found = {"idle": resident(pid) / 1e6}
        viewers = [await _view(port, tokens[n % len(tokens)]) for n in range(VIEWERS)]
        await asyncio.sleep(1)
        found["viewers"] = resident(pid) / 1e6
        for writer in viewers:
            writer.close()
        call = Call(f"{server}/api/design/mockups/{PRODUCT}", headers={"Authorization": f"Bearer {tokens[0]}"})
        await load(call, [pid], 5)  # What fills up once: caches, prepared statements, pools.
        before = resident(pid) / 1e6
        sent = 0
        while sent < REQUESTS:
            sent += (await load(call, [pid], 5)).requests
        found["growth"] = resident(pid) / 1e6 - before
        return found


async def _view(port: int, token: str) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/design/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    await reader.readuntil(b"event: hello")
    return writer


async def scale_out(url: str, python: Path) -> list[str]:
    """Status requests on one server process, then on two, each with a `wrk` of its own."""
    token = await token_for(url, SECRET)
    ports = new_port(), new_port()
    servers = [f"http://127.0.0.1:{port}" for port in ports]
    async with (
        started(serve_command(ports[0], python), f"{servers[0]}/readyz", environment(url)) as one,
        started(serve_command(ports[1], python), f"{servers[1]}/readyz", environment(url)) as two,
    ):
        key = {"Authorization": f"Bearer {token}"}
        calls = [Call(f"{server}/api/design/mockups/{PRODUCT}", headers=key) for server in servers]
        alone, both, ours, all_cpu = [], [], [], []
        for _ in range(5):
            alone.append((await load(calls[0], [one], 2)).per_second)
            busy, mine = _busy(), cpu_seconds(one) + cpu_seconds(two)
            pair = await asyncio.gather(load(calls[0], [one], 2), load(calls[1], [two], 2))
            both.append(sum(found.per_second for found in pair))
            all_cpu.append(_busy() - busy)
            ours.append(cpu_seconds(one) + cpu_seconds(two) - mine)
    share = statistics.median(mine / whole for mine, whole in zip(ours, all_cpu, strict=True))
    gain = statistics.median(b / a for a, b in zip(alone, both, strict=True))
    return [
        f"| lists per second, one process | | | {median_of(alone)} |",
        f"| the same, two processes on two cores | what it gains | | {median_of(both)}: {gain:.2f} x |",
        f"| share of all CPU used that the two servers had | the rest: PostgreSQL, wrk, others | | {share:.0%} |",
    ]


def _busy() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / 100


def starts(url: str, python: Path) -> list[float]:
    """Seconds from starting `serve` to its first answer of /readyz, on a database that is migrated."""

    async def start() -> float:
        port = new_port()
        began = time.perf_counter()
        async with started(serve_command(port, python), f"http://127.0.0.1:{port}/readyz", environment(url)):
            return time.perf_counter() - began

    return [asyncio.run(start()) for _ in range(STARTS)]


def helps(url: str, python: Path) -> list[float]:
    """Seconds of `protokeep --help`."""
    times = []
    command = [str(python), "-c", "from protokeep.cli import main; main()", "--help"]
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, env=environment(url), check=True)
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    """Measure, and print the table."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with installed() as python, databases() as urls:
        before = crowded()
        held = {kind: asyncio.run(memory(url, python)) for kind, url in urls.items()}
        began = {kind: starts(url, python) for kind, url in urls.items()}
        helped = helps(urls["SQLite"], python)
        more = asyncio.run(scale_out(urls["PostgreSQL"], python))
    lines = [HEAD]
    for what, goal, key in (
        ("memory of an idle `serve`", "<= 120 MB", "idle"),
        (f"with {VIEWERS:,} viewers of events", "<= 200 MB", "viewers"),
        (f"growth over {REQUESTS:,} requests", "<= 5 MB", "growth"),
    ):
        lines.append(f"| {what} | {goal} | {held['SQLite'][key]:.1f} MB | {held['PostgreSQL'][key]:.1f} MB |")
    ready = [median_of(began[kind], 2) for kind in urls]
    lines += [
        f"| `serve` to ready, compiled | <= 1.5 s | {ready[0]} s | {ready[1]} s |",
        f"| `protokeep --help` | <= 0.25 s | {median_of(helped, 2)} s | |",
        *more,
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(f"\nMedian (range) of {STARTS}; memory is what one process held. {before}\n")


if __name__ == "__main__":
    main()
