"""What a million prototypes of 100,000 products change: the same requests against an almost empty database.

    python -m benchmarks.growth --only SQLite
    python -m benchmarks.growth --only PostgreSQL

Writes the query plan of each hot statement at that size to build/query_plans.md.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import time

import httpx2

from benchmarks.explain import write_plans
from benchmarks.harness import ROOT, Call, crowded, databases, load, median_of, new_port, started
from benchmarks.millions import fill_millions
from benchmarks.requests import SECRET, environment, serve_command
from benchmarks.rows import look_fresh, token_for
from protokeep.store.migrate import migrate

FEW = 1_000
MANY = 1_000_000
ROUNDS = 5
GOAL = 1.15


async def prepare(url: str, prototypes: int) -> str:
    """A database with so many prototypes; a token for it."""
    await migrate(url)
    began = time.monotonic()
    await fill_millions(url, prototypes)
    sys.stderr.write(f"{prototypes:,} written in {time.monotonic() - began:.0f} s\n")
    return await token_for(url, SECRET)


async def calls_of(url: str, server: str, token: str) -> dict[str, Call]:
    """The requests whose cost is compared."""
    key = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=server, trust_env=False, follow_redirects=True) as http:
        product = "product-000050"
        status = await http.get(f"/api/design/mockups/{product}/status", headers=key)
        await look_fresh(url, status.json()["id"])
        page = await http.get("/sign-in", headers={"accept": "text/html"})
        found = re.search(r'name="form_token" value="([^"]+)"', page.text)
        assert found is not None
        await http.post("/sign-in", data={"form_token": found.group(1), "token": token})
        cookie = "; ".join(f"{name}={value}" for name, value in dict(http.cookies).items())
    asked = f'{{"product_id": "{product}", "prompt": "A landing page"}}'
    page_headers = {"Cookie": cookie, "Accept": "text/html"}
    return {
        "reuse": Call(f"{server}/api/design/create-project", "POST", asked, key),
        "status": Call(f"{server}/api/design/mockups/{product}/status", headers=key),
        "list": Call(f"{server}/api/design/mockups/{product}?limit=20", headers=key),
        "home page": Call(f"{server}/", headers=page_headers),
        "product page": Call(f"{server}/p/{product}", headers=page_headers),
    }


async def measure(few_url: str, many_url: str) -> list[tuple[str, list[float], list[float]]]:
    """CPU per request, few and many rows in turn."""
    few_token, many_token = await prepare(few_url, FEW), await prepare(many_url, MANY)
    ports = new_port(), new_port()
    servers = [f"http://127.0.0.1:{port}" for port in ports]
    async with (
        started(serve_command(ports[0]), f"{servers[0]}/readyz", environment(few_url)) as few_pid,
        started(serve_command(ports[1]), f"{servers[1]}/readyz", environment(many_url)) as many_pid,
    ):
        few = await calls_of(few_url, servers[0], few_token)
        many = await calls_of(many_url, servers[1], many_token)
        found = []
        for what, call in few.items():
            ours: list[float] = []
            theirs: list[float] = []
            for number in range(ROUNDS + 1):
                small = await load(call, [few_pid], 1)
                large = await load(many[what], [many_pid], 1)
                if small.errors or large.errors:
                    raise RuntimeError(f"{what}: {small.errors} and {large.errors} errors")
                if number:
                    ours.append(small.cpu_us)
                    theirs.append(large.cpu_us)
            found.append((what, ours, theirs))
        return found


def main() -> None:
    """Measure, print the table, write the plans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["SQLite", "PostgreSQL"])
    given = parser.parse_args()
    before = crowded()
    whole: list[str] = []
    lines = [
        f"| request | CPU with {FEW:,} rows, us | with {MANY:,}, us | ratio | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    for kind in [given.only] if given.only else ["SQLite", "PostgreSQL"]:
        with databases([kind], fsync="off") as few, databases([kind], fsync="off") as many:
            for what, small, large in asyncio.run(measure(few[kind], many[kind])):
                ratio = statistics.median(b / a for a, b in zip(small, large, strict=True))
                lines.append(
                    f"| {kind}: {what} | {median_of(small)} | {median_of(large)} | {ratio:.2f} x | <= {GOAL} x "
                    f"| {'yes' if ratio <= GOAL else 'no'} |"
                )
            whole += asyncio.run(write_plans(kind, many[kind], ROOT / "build" / "query_plans.md", MANY))
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(f"\nMedian (range) of {ROUNDS} rounds each, taken in turn. {before}\n")
    sys.stdout.write(f"Hot statements that read a whole table: {', '.join(whole) or 'none'}.\n")


if __name__ == "__main__":
    main()
