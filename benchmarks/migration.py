"""How long a reader and a writer wait for the migration of an owner's table with a million rows (PostgreSQL).

Both run statements one after the other, as fast as they can, beside `protokeep migrate` and `protokeep adopt --leave`;
a third program holds a transaction on the table open for two seconds at a time, as the old system's requests do.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from benchmarks.harness import ROOT
from owner_databases import PEOPLE, PRODUCTS, digest, make_generation
from postgres import PostgresServer

ROWS = int(os.environ.get("ROWS", "1000000"))
SETTINGS = {"fsync": "on", "shared_buffers": "256MB", "autovacuum": "on", "max_wal_size": "2GB"}
FILL = f"""
INSERT INTO design_mockups (product_id, user_id, provider, prompt, metadata, created_at)
SELECT ('{PRODUCTS[0][:-2]}' || lpad((n % 10 + 1)::text, 2, '0'))::uuid, '{PEOPLE[0]}', 'v0',
       'Prompt number ' || n, jsonb_build_object('number', n), now() - n * interval '1 s'
  FROM generate_series(1, {ROWS}) AS n
"""
READ = f"SELECT id, prompt FROM design_mockups WHERE product_id = '{PRODUCTS[0]}' LIMIT 20"
WRITE = f"""
INSERT INTO design_mockups (product_id, user_id, provider, prompt)
VALUES ('{PRODUCTS[1]}', '{PEOPLE[0]}', 'v0', 'beside')
"""


@dataclass
class Waits:
    """How long each statement of one client took, in seconds."""

    seconds: list[float] = field(default_factory=list)

    def cell(self) -> str:
        worst = sorted(self.seconds)
        return f"{1000 * worst[-1]:.0f} ms ({len(worst):,} statements, median {1000 * worst[len(worst) // 2]:.1f} ms)"


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[tuple[Waits, Waits]]:
    """A reader, a writer, and somebody with long transactions, for as long as the context lasts."""
    reader, writer = Waits(), Waits()
    tasks = [
        asyncio.create_task(_repeat(url, READ, reader)),
        asyncio.create_task(_repeat(url, WRITE, writer)),
        asyncio.create_task(_hold(url)),
    ]
    await asyncio.sleep(1)
    try:
        yield reader, writer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(url: str, statement: str, waits: Waits) -> None:
    connection = await asyncpg.connect(url)
    while True:
        started = time.perf_counter()
        await connection.execute(statement)
        waits.seconds.append(time.perf_counter() - started)
        await asyncio.sleep(0.001)


async def _hold(url: str) -> None:
    connection = await asyncpg.connect(url)
    while True:
        async with connection.transaction():
            await connection.execute(READ)
            await asyncio.sleep(2)
        await asyncio.sleep(0.5)


async def command(url: str, *arguments: str) -> float:
    """The seconds that a command of protokeep took."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PROTOKEEP_", "V0_"))}
    environment |= {"PROTOKEEP_DATABASE_URL": url, "PYTHONPATH": str(ROOT / "src")}
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from protokeep.cli import main; main()",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise RuntimeError(f"protokeep {' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - started


async def measure(server: PostgresServer) -> None:
    """Measure each command beside the clients."""
    url = server.create_database()
    await make_generation(url, "before_tenants")
    server.execute(FILL, url)
    server.execute("VACUUM ANALYZE design_mockups", url)
    sys.stdout.write("| command | took | longest wait of a reader | longest wait of a writer |\n|---|---|---|---|\n")
    for arguments in (("adopt", "--check"), ("migrate",), ("adopt", "--leave", "--with-columns", "--yes")):
        async with clients(url) as (reader, writer):
            took = await command(url, *arguments)
        sys.stdout.write(f"| `protokeep {' '.join(arguments)}` | {took:.1f} s | {reader.cell()} | {writer.cell()} |\n")
    before = await digest(url)
    await command(url, "migrate")
    changed = "no" if await digest(url) == before else "SOME"
    sys.stdout.write(f"\n{ROWS:,} rows; the migration changed {changed} value of the owner's.\n")


def main() -> None:
    """Measure on a PostgreSQL of its own."""
    with PostgresServer(SETTINGS) as server:
        asyncio.run(measure(server))


if __name__ == "__main__":
    main()
