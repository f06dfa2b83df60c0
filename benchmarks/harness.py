"""What the benchmarks share: servers as users run them, load from a process of its own, CPU of the server's process.

Load comes from `wrk` where it is installed (Debian's package), else from `benchmarks.loader`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import httpx2  # noqa: E402

from chaos.fleet import free_port  # noqa: E402
from postgres import PostgresServer  # noqa: E402

CONNECTIONS = 8
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Call:
    """One request, sent again and again."""

    url: str
    method: str = "GET"
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """What a spell of load came to. `cpu_us`: of the server's process, per request."""

    requests: int
    errors: int
    per_second: float
    cpu_us: float


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> int:
    """Bytes of memory that a process holds for itself or shares."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def load(call: Call, pids: Sequence[int], seconds: float, connections: int = CONNECTIONS) -> Loaded:
    """Send `call` for so long, over so many connections, and count what it costs the processes `pids`."""
    with tempfile.TemporaryDirectory() as folder:
        command = _wrk(call, seconds, connections, Path(folder)) or _loader(call, seconds, connections)
        before = sum(map(cpu_seconds, pids))
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT)
        output = (await process.communicate())[0].decode()
        spent = sum(map(cpu_seconds, pids)) - before
    counted = re.search(r"(\d+) requests in ([\d.]+)(m?s)", output)
    if counted is None:
        raise RuntimeError(f"no load: {output}")
    requests = int(counted[1])
    took = float(counted[2]) / (1000 if counted[3] == "ms" else 1)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    errors = int(refused[1]) if refused else 0
    errors += sum(int(number) for number in broken.groups()) if broken else 0
    return Loaded(requests, errors, requests / took, spent / max(requests, 1) * 1e6)


def _wrk(call: Call, seconds: float, connections: int, folder: Path) -> list[str] | None:
    if shutil.which("wrk") is None:
        return None
    script = folder / "call.lua"
    lines = [f'wrk.method = "{call.method}"']
    if call.body is not None:
        lines += [f"wrk.body = {json.dumps(call.body)}", 'wrk.headers["Content-Type"] = "application/json"']
    lines += [f'wrk.headers["{name}"] = {json.dumps(value)}' for name, value in call.headers.items()]
    script.write_text("\n".join(lines))
    return ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "-s", str(script), call.url]


def _loader(call: Call, seconds: float, connections: int) -> list[str]:
    given = {**vars(call), "seconds": seconds, "connections": connections}
    return [sys.executable, "-m", "benchmarks.loader", json.dumps(given)]


@contextlib.asynccontextmanager
async def started(command: Sequence[str], url: str, environment: dict[str, str]) -> AsyncIterator[int]:
    """A process that answers at `url`, for as long as the context lasts; its id."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            async with asyncio.timeout(60):
                while not await _answers(url):
                    if process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(log.read().decode()[-2000:])
                    await asyncio.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


async def _answers(url: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        async with httpx2.AsyncClient(trust_env=False) as http:
            return (await http.get(url, timeout=2.0)).status_code == 200
    return False


@contextlib.contextmanager
def databases(kinds: Sequence[str] = ("SQLite", "PostgreSQL"), *, fsync: str = "on") -> Iterator[dict[str, str]]:
    """An address per kind of database: a file, and a server of one's own, which keeps what it commits with `fsync`."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {}
        if "SQLite" in kinds:
            urls["SQLite"] = f"sqlite:///{folder}/bench.db"
        if "PostgreSQL" in kinds:
            server = PostgresServer({"fsync": fsync, "shared_buffers": "256MB", "max_wal_size": "4GB"})
            urls["PostgreSQL"] = stack.enter_context(server).create_database()
        yield urls


def new_port() -> int:
    """A port that is free now."""
    return free_port()


def median_of(values: Sequence[float], digits: int = 0) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def crowded() -> str:
    """What else ran on the cores, as the load average says; to be printed with the figures."""
    return f"Load average when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
