"""What a reading of the metrics takes at 100,000 prototypes, with series for 50 routes and 20 operations, over HTTP.

python -m benchmarks.scrape --only SQLite
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import httpx2
from pydantic import SecretStr

from benchmarks.harness import crowded, databases, median_of
from benchmarks.rows import fill
from protokeep.settings import Settings
from protokeep.store.migrate import migrate
from protokeep.web.monitoring import monitored
from protokeep.wiring import Application, build_application

ROUNDS = 200
ROUTES, OPERATIONS = 50, 20
#: Milliseconds.
GOAL = 10


def use(application: Application) -> None:
    """Count as if most routes and operations were in use."""
    metrics = application.keeper.context.metrics
    for number in range(ROUTES):
        for status in (200, 404):
            metrics.request("GET", f"/api/route-{number}", status, 0.01)
    for number in range(OPERATIONS):
        metrics.call("v0", f"GET operation-{number}", 200, 0.1)


async def measure(kind: str, url: str, prototypes: int) -> bool:
    """Print a row of the table; whether the goal was reached."""
    await migrate(url)
    await fill(url, prototypes)
    settings = Settings(database_url=url, secret_key=SecretStr("scrape"), metrics_port=0, _env_file=None)
    async with (
        build_application(settings) as application,
        monitored(application, lambda: False) as address,
        httpx2.AsyncClient(base_url=str(address), trust_env=False) as http,
    ):
        use(application)
        began = time.perf_counter()
        page = (await http.get("/metrics")).text
        first = (time.perf_counter() - began) * 1000
        times = []
        spent = time.process_time()
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await http.get("/metrics")
            times.append((time.perf_counter() - began) * 1000)
        spent = (time.process_time() - spent) * 1000 / ROUNDS
    lines = sum(not line.startswith("#") for line in page.splitlines())
    sys.stdout.write(f"| {kind} | {lines} | {first:.0f} | {median_of(times, 1)} | {spent:.1f} |\n")
    return spent <= GOAL  # How long it takes says how busy the machine is.


def main(only: str | None, prototypes: int) -> int:
    """Measure each kind of database; 1 where one missed the goal."""
    sys.stdout.write(f"{prototypes:,} prototypes. {crowded()} The goal is {GOAL} ms a reading.\n\n")
    sys.stdout.write(
        "| database | series | the first, which counts (ms) | later ones (ms) | processor, client included (ms) |\n"
    )
    sys.stdout.write("|---|---|---|---|---|\n")
    reached = True
    with databases([only] if only else ("SQLite", "PostgreSQL")) as urls:
        for kind, url in urls.items():
            reached = asyncio.run(measure(kind, url, prototypes)) and reached
    return 0 if reached else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["SQLite", "PostgreSQL"])
    parser.add_argument("--prototypes", type=int, default=100_000)
    given = parser.parse_args()
    sys.exit(main(given.only, given.prototypes))
