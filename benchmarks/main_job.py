"""Forty products, ten simultaneous clicks on each; how soon the demo answers; what an idle server costs.

    python -m benchmarks.main_job

The server runs as users run it, in a process of its own, like the emulated v0; the clicks come from this one.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

import httpx2  # noqa: E402

from chaos.fleet import fleet_of, free_port  # noqa: E402
from postgres import PostgresServer  # noqa: E402

PRODUCTS, CLICKS = 40, 10
RUNS = 3
STARTS = 5
IDLE_SECONDS = 20.0
PROTOKEEP = [sys.executable, "-c", "from protokeep.cli import main; main()"]


async def clicks(database_url: str) -> dict[str, Any]:
    """All clicks at once; chats made, errors, and how long a click waited."""
    async with fleet_of(database_url) as fleet:
        await fleet.sandbox("PATCH", "knobs", generation_seconds=5, accept_seconds=0.2)
        server = fleet.add("serve")
        await fleet.until_ready(f"{server.url}/readyz")
        times: list[float] = []
        codes: list[int] = []

        async def click(product: str) -> None:
            body = {"product_id": product, "prompt": f"A page for {product}"}
            began = time.perf_counter()
            response = await fleet.http.post(f"{server.url}/api/design/create-project", json=body)
            times.append(time.perf_counter() - began)
            codes.append(response.status_code)

        cpu_before = _cpu(server.pid)
        await asyncio.gather(*(click(f"p-{number % PRODUCTS}") for number in range(PRODUCTS * CLICKS)))
        cpu = _cpu(server.pid) - cpu_before
        stats = await fleet.sandbox("GET", "stats")
        times.sort()
        return {
            "chats": stats["chats_created"],
            "errors": sum(1 for code in codes if code not in (200, 201, 202)),
            "made": sum(1 for code in codes if code in (201, 202)),
            "p50": statistics.median(times),
            "p95": times[int(len(times) * 0.95)],
            "cpu_ms": cpu / len(codes) * 1000,
        }


async def idle(database_url: str) -> float:
    """The share of a core that a server with nothing in flight takes, in percent."""
    async with fleet_of(database_url) as fleet:
        server = fleet.add("serve")
        await fleet.until_ready(f"{server.url}/readyz")
        await asyncio.sleep(3.0)
        fleet.stop_watching()
        before = _cpu(server.pid)
        await asyncio.sleep(IDLE_SECONDS)
        return (_cpu(server.pid) - before) / IDLE_SECONDS * 100


def first_answer() -> float:
    """Seconds from starting the demo to its first answered request."""
    port, sandbox_port = free_port(), free_port()
    began = time.perf_counter()
    command = [*PROTOKEEP, "demo", "--port", str(port), "--sandbox-port", str(sandbox_port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while time.perf_counter() - began < 30:
            try:
                if httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx2.HTTPError:
                time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _range(values: list[float], unit: str, digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f}) {unit}"


def main() -> None:
    """Measure, and print the table."""
    lines = ["| what | goal | figure: median (range) |", "|---|---|---|"]
    with PostgresServer({"fsync": "on"}) as server, tempfile.TemporaryDirectory() as folder:
        for kind in ("SQLite", "PostgreSQL"):
            runs = []
            for number in range(RUNS):
                url = f"sqlite:///{folder}/{number}.db" if kind == "SQLite" else server.create_database()
                runs.append(asyncio.run(clicks(url)))
            chats = sorted({run["chats"] for run in runs})
            errors = sum(run["errors"] for run in runs)
            head = f"{PRODUCTS} products x {CLICKS} simultaneous clicks, {kind}"
            lines += [
                f"| {head}: chats made | {PRODUCTS} | {', '.join(map(str, chats))} in each of {RUNS} runs |",
                f"| the same: errors of {PRODUCTS * CLICKS * RUNS} requests | 0 | {errors} |",
                f"| the same: answer p50 | | {_range([run['p50'] for run in runs], 's')} |",
                f"| the same: answer p95 | | {_range([run['p95'] for run in runs], 's')} |",
                f"| the same: server CPU per request | | {_range([run['cpu_ms'] for run in runs], 'ms')} |",
            ]
            idle_url = f"sqlite:///{folder}/idle.db" if kind == "SQLite" else server.create_database()
            lines.append(f"| idle `serve`, {kind}: CPU | < 1 % | {asyncio.run(idle(idle_url)):.2f} % of a core |")
    starts = [first_answer() for _ in range(STARTS)]
    lines.append(f"| `protokeep demo` to the first answered request | <= 3 s | {_range(starts, 's')} |")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(
        "\nv0 accepts in 0.2 s here. The one create of each product waits for that; reuse is answered at once.\n"
    )


if __name__ == "__main__":
    main()
