"""Four hundred people, four hundred products, ten simultaneous clicks on each: 4,000 creates at once.

    python -m benchmarks.storm [--products 400] [--clicks 10]

The server runs as users run it, the emulated v0 beside it; the clicks are plain sockets of this process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
import time
from typing import Any

import uvloop

from benchmarks.harness import cpu_seconds, crowded, databases
from benchmarks.rows import tokens_for
from chaos.fleet import TOKEN_SECRET, fleet_of

ACCEPT_SECONDS = 1.0
GENERATION_SECONDS = 5.0
#: The p95 of an answer, in seconds, that the plain transactions of the store are held to.
GOALS = {"SQLite": 4.5, "PostgreSQL": 5.5}


async def storm(url: str, products: int, clicks: int) -> dict[str, Any]:
    """All clicks at once; chats made, errors, how long an answer took."""
    async with fleet_of(url, PROTOKEEP_LOG_LEVEL="warning") as fleet:
        await fleet.sandbox("PATCH", "knobs", generation_seconds=GENERATION_SECONDS, accept_seconds=ACCEPT_SECONDS)
        server = fleet.add("serve")
        await fleet.until_ready(f"{server.url}/readyz")
        tokens = await tokens_for(url, TOKEN_SECRET, products)
        fleet.stop_watching()
        times: list[float] = []
        codes: list[int] = []

        async def click(number: int) -> None:
            began = time.perf_counter()
            codes.append(await _post(server.port, tokens[(number * 7) % products], f"p-{number % products}"))
            times.append(time.perf_counter() - began)

        before = cpu_seconds(server.pid)
        began = time.perf_counter()
        await asyncio.gather(*(click(number) for number in range(products * clicks)), return_exceptions=True)
        took = time.perf_counter() - began
        cpu = cpu_seconds(server.pid) - before
        stats = await fleet.sandbox("GET", "stats")
        for _ in range(60):
            if stats["chats_created"] >= products:
                break
            await asyncio.sleep(0.5)
            stats = await fleet.sandbox("GET", "stats")
        times.sort()
        return {
            "chats": stats["chats_created"],
            "errors": products * clicks - sum(1 for code in codes if code in (200, 201, 202)),
            "made": codes.count(201),
            "claimed": codes.count(202),
            "p50": statistics.median(times),
            "p95": times[int(len(times) * 0.95)],
            "took": took,
            "cpu_ms": cpu / (products * clicks) * 1000,
        }


async def _post(port: int, token: str, product: str) -> int:
    body = json.dumps({"product_id": product, "prompt": f"A page for {product}"}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST /api/design/create-project HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    answer = await reader.read()
    writer.close()
    return int(answer[9:12] or 0)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=400)
    parser.add_argument("--clicks", type=int, default=10)
    parser.add_argument("--only", choices=["SQLite", "PostgreSQL"])
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = crowded()
    number = given.products * given.clicks
    kinds = [given.only] if given.only else ["SQLite", "PostgreSQL"]
    lines = [f"| what | goal | {' | '.join(kinds)} |", f"|---|---|{'---|' * len(kinds)}"]
    found = {}
    with databases(kinds) as urls:
        for kind, url in urls.items():
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # The clicks cost less.
                found[kind] = runner.run(storm(url, given.products, given.clicks))
    rows: list[tuple[str, str, str, str]] = [
        ("chats made", str(given.products), "chats", "d"),
        (f"errors of {number:,} requests", "0", "errors", "d"),
        ("answered 202, still to be accepted", "", "claimed", "d"),
        ("answer p50", "", "p50", ".2f"),
        ("answer p95", f"<= {' s, '.join(str(GOALS[kind]) for kind in kinds)} s", "p95", ".2f"),
        ("all answered after", "", "took", ".1f"),
        ("server CPU per request, ms", "", "cpu_ms", ".2f"),
    ]
    for what, goal, key, form in rows:
        unit = " s" if key in ("p50", "p95", "took") else ""
        cells = [f"{found[kind][key]:{form}}{unit}" for kind in kinds]
        lines.append(f"| {what} | {goal} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(
        f"\n{given.products} people and products, {given.clicks} clicks on each at once; the emulated v0 accepts after "
        f"{ACCEPT_SECONDS} s and generates for {GENERATION_SECONDS:.0f} s. {before}\n"
    )


if __name__ == "__main__":
    main()
