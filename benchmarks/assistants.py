"""How quickly and how briefly assistants are answered, and what importing costs.

    python -m benchmarks.assistants

protokeep and the emulated v0 run in a process of their own; the MCP client is the official library's.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import CallToolResult

from mcp import Client, StdioServerParameters

ACCEPT_SECONDS = 0.2
EXISTING_CALLS, NEW_CALLS, PARALLEL_CALLS = 200, 40, 100
IMPORTS = 9
PROTOKEEP = [sys.executable, "-c", "from protokeep.cli import main; main()"]


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo runs."""

    url: str
    v0_url: str
    token: str

    def v0(self, method: str, path: str, **values: Any) -> Any:
        """Ask the emulated v0."""
        return httpx2.request(method, f"{self.v0_url}/_sandbox/{path}", json=values or None, trust_env=False).json()

    @property
    def chats(self) -> int:
        """Chats it made."""
        return int(self.v0("GET", "stats")["v2"]["chats_created"])


@contextlib.contextmanager
def demo() -> Iterator[Demo]:
    """A demo in a process of its own."""
    process = subprocess.Popen(
        [*PROTOKEEP, "demo", "--port", "0", "--sandbox-port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    text = ""
    try:
        while "Stop with" not in text:
            line = process.stdout.readline()
            assert line, "the demo did not start"
            text += line
        found = re.search(r"PROTOKEEP_URL=(\S+) PROTOKEEP_TOKEN=(\S+)", text)
        v0_url = re.search(r"Emulated v0.* on (\S+)", text)
        assert found is not None
        assert v0_url is not None
        running = Demo(found[1], v0_url[1], found[2])
        running.v0("PATCH", "knobs", accept_seconds=ACCEPT_SECONDS, generation_seconds=3600)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextlib.asynccontextmanager
async def connected(running: Demo, transport: str) -> AsyncIterator[Client]:
    """An MCP client."""
    if transport == "stdio":
        environment = {
            "PROTOKEEP_URL": running.url,
            "PROTOKEEP_TOKEN": running.token,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        parameters = StdioServerParameters(command=PROTOKEEP[0], args=[*PROTOKEEP[1:], "mcp"], env=environment)
        async with Client(parameters) as client:
            yield client
        return
    headers = {"Authorization": f"Bearer {running.token}"}
    async with (
        create_mcp_http_client(headers=headers) as http,
        Client(streamable_http_client(f"{running.url}/mcp", http_client=http)) as client,
    ):
        yield client


class Measured:
    """Calls tools; keeps how long each took and how large the largest answer was."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.largest = (0, "")

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """One call."""
        result = await self._client.call_tool(tool, arguments)
        size = len(result.model_dump_json(by_alias=True, exclude_none=True).encode())
        self.largest = max(self.largest, (size, tool))
        return result

    async def times(self, calls: int, call: Callable[[int], Awaitable[object]]) -> list[float]:
        """Milliseconds of so many calls, one after the other."""
        found = []
        for number in range(calls):
            began = time.perf_counter()
            await call(number)
            found.append((time.perf_counter() - began) * 1000)
        return found


async def over(running: Demo, transport: str) -> list[tuple[str, str, str]]:
    """The figures of one transport."""
    async with connected(running, transport) as client:
        measured = Measured(client)
        before = running.chats
        began = time.perf_counter()
        shop = {"product_id": f"shop-{transport}", "prompt": "A landing page"}
        await asyncio.gather(*(measured.call("ensure_prototype", **shop) for _ in range(PARALLEL_CALLS)))
        together = (time.perf_counter() - began) * 1000
        await asyncio.sleep(3 * ACCEPT_SECONDS)
        chats = running.chats - before
        existing = await measured.times(EXISTING_CALLS, lambda _: measured.call("ensure_prototype", **shop))
        new = await measured.times(
            NEW_CALLS,
            lambda number: measured.call(
                "ensure_prototype", product_id=f"{transport}-{number}", prompt="A landing page"
            ),
        )
        await _provoke_large_answers(measured, transport)
    size, tool = measured.largest
    return [
        (f"{transport}: ensure_prototype, it exists, p50 / p95", _both(existing), "p95 < 100 ms"),
        (f"{transport}: ensure_prototype, it is made, p50 / p95", _both(new), "p95 < 1 s"),
        (f"{transport}: {PARALLEL_CALLS} identical calls at once: chats made", str(chats), "1"),
        (f"{transport}: all {PARALLEL_CALLS} answered after", f"{together:.0f} ms", ""),
        (f"{transport}: largest answer ({tool})", f"{size} bytes", "< 4096"),
    ]


async def _provoke_large_answers(measured: Measured, transport: str) -> None:
    """The longest product id and prompt there may be, many prototypes, and every tool."""
    product = (transport + "ß" * 200)[:200]
    made = await measured.call("ensure_prototype", product_id=product, prompt="é" * 90_000)
    for number in range(8):
        before = (made.structured_content or {})["prototype_id"]
        made = await measured.call(
            "ensure_prototype", product_id=product, prompt=f"{number}" + "é" * 5000, instead_of=before
        )
    await measured.call("ensure_prototype", product_id=product, prompt="Quite another one")
    for tool in ("get_prototype", "list_prototypes", "explain"):
        await measured.call(tool, product_id=product)
    await measured.call("wait_for_prototype", product_id=product, seconds=1)
    await measured.call("get_prototype", product_id="x" * 250)


def imported(module: str) -> float:
    """Milliseconds that importing a module takes in a fresh process: the median of several."""
    script = f"import time; began = time.perf_counter(); import {module}; print((time.perf_counter() - began) * 1000)"
    runs = [
        float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        for _ in range(IMPORTS)
    ]
    return statistics.median(runs)


def _both(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} / {_percentile(times, 0.95):.1f} ms"


def _percentile(times: list[float], share: float) -> float:
    return sorted(times)[math.ceil(share * len(times)) - 1]


def run() -> str:
    """Measure; the result as Markdown."""

    async def measure(running: Demo) -> list[tuple[str, str, str]]:
        return [*(await over(running, "stdio")), *(await over(running, "http"))]

    with demo() as running:
        rows = asyncio.run(measure(running))
    for module, goal in (("protokeep.cli", 150), ("protokeep.client", None), ("protokeep.agents.agno_v0", 300)):
        rows.append((f"import {module}", f"{imported(module):.0f} ms", f"< {goal} ms" if goal else ""))
    lines = [f"| {what} | {figure} | {goal} |" for what, figure, goal in rows]
    return "\n".join(
        [
            f"Loopback; server and emulated v0 in one other process; v0 accepts in {ACCEPT_SECONDS * 1000:.0f} ms.",
            "",
            "| what | measured | goal |",
            "|---|---|---|",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    print(run())
