"""Many clicks on many products while processes die, answers get lost and the database goes away."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections import Counter
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2

from chaos.fleet import Fleet, Member, fleet_of
from chaos.inspect import ROWS, Verdict, fetch, judge, quiet

#: Short, but in the proportions of the defaults: a create's limit < settle, lists lag less than settle.
SETTINGS = {
    "PROTOKEEP_CREATE_TIMEOUT_SECONDS": "4",
    "PROTOKEEP_SETTLE_SECONDS": "14",
    "PROTOKEEP_ACCEPT_WAIT_SECONDS": "3",
    "PROTOKEEP_LOG_LEVEL": "warning",
}
KNOBS = {"generation_seconds": [2, 10], "accept_seconds": 0.05, "list_delay_seconds": 4}
SETTLE_LIMIT = 240.0
#: Lines of a log that show an unexpected error with its traceback.
UNEXPECTED_LINES = 80


class Storm:
    """One run; `figures` tell what was done to the fleet."""

    def __init__(self, fleet: Fleet, server: Any, slots: int, clicks: int, seconds: float, rng: random.Random) -> None:
        self._fleet = fleet
        self._server = server
        self._slots = slots
        self._clicks = clicks
        self._seconds = seconds
        self._random = rng
        self._over = asyncio.Event()
        self._expected: dict[str, int] = {}
        self.figures: Counter[str] = Counter()

    async def run(self) -> Verdict:
        """Clicks and faults for a while, then quiet, then the verdict."""
        faults = asyncio.create_task(self._faults())
        begin = self._seconds * 0.8 / self._slots
        async with asyncio.TaskGroup() as clicks:
            for number in range(self._slots):
                clicks.create_task(self._product(f"product-{number}"))
                await asyncio.sleep(begin)
        await faults
        await self._until_quiet()
        found = await self._fleet.sandbox("GET", "chats")
        verdict = await judge(self._fleet.database_url, found["chats"], self._expected)
        stats = await self._fleet.sandbox("GET", "stats")
        self.figures["lost_answers"] = stats["statuses"].get("dropped", 0) + self.figures["errors_after_acting"]
        return verdict

    async def _product(self, product: str) -> None:
        """Several people click at once; some products get another one on purpose, each under its own key."""
        another = self._random.random() < 0.1
        self._expected[product] = 2 if another else 1
        await asyncio.gather(*(self._click(product) for _ in range(self._clicks)))
        if another:
            key = uuid4().hex
            await asyncio.gather(*(self._click(product, create_new=True, key=key) for _ in range(3)))

    async def _click(self, product: str, *, create_new: bool = False, key: str | None = None) -> None:
        """One person, who tries again until there is an answer, as a browser with a retry button does."""
        body = {"product_id": product, "prompt": f"A page for {product}", "create_new": create_new}
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            server = self._random.choice(self._fleet.servers)
            with contextlib.suppress(httpx2.HTTPError):
                self.figures["clicks"] += 1
                url = f"{server.url}/api/design/create-project"
                response = await self._fleet.http.post(url, json=body, headers=headers, timeout=10.0)
                if response.status_code in (200, 201, 202):
                    return
                if response.status_code not in (409, 500, 503):
                    raise RuntimeError(f"{response.status_code}: {response.text[:300]}")
                self.figures[f"answers_{response.status_code}"] += 1
            await asyncio.sleep(self._random.uniform(0.05, 0.5))

    async def _faults(self) -> None:
        """One fault after another until the clicks are over; the database goes away once in the middle."""
        began = asyncio.get_running_loop().time()
        database_restarted = self._server is None
        while not self._over.is_set() and (elapsed := asyncio.get_running_loop().time() - began) < self._seconds:
            if not database_restarted and elapsed > self._seconds / 2:
                database_restarted = True
                await asyncio.to_thread(self._server.restart, crash=True)
                self.figures["database_restarts"] += 1
            choice = self._random.choices(["kill", "drop", "error", "cut"], [5, 5, 2, 1])[0]
            with contextlib.suppress(httpx2.HTTPError, OSError, asyncpg.PostgresError):
                await getattr(self, f"_{choice}")()
            await asyncio.sleep(self._random.uniform(0.3, 1.2) * min(1.0, self._seconds / 60))
        self._over.set()

    async def _kill(self) -> None:
        member: Member = self._random.choice(self._fleet.members)
        member.kill()
        self.figures["kills"] += 1
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        member.start()
        if len(self._fleet.members) == 1:  # Or nobody would ever be served.
            await self._fleet.until_ready(f"{member.url}/readyz")
            await asyncio.sleep(self._random.uniform(0.0, 2.0))

    async def _drop(self) -> None:
        await self._fleet.sandbox("PATCH", "knobs", drop_next_answers=self._random.randint(1, 2))

    async def _error(self) -> None:
        rule = {"operation": "chats.create*", "status": 500, "times": 1}
        before = await self._fleet.sandbox("GET", "knobs")
        if not before["fail_after_acting"]:
            await self._fleet.sandbox("PATCH", "knobs", fail_after_acting=[rule])
            self.figures["errors_after_acting"] += 1

    async def _cut(self) -> None:
        if self._server is None:
            return
        connection = await asyncpg.connect(self._fleet.database_url)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            self.figures["connections_cut"] += 1
        finally:
            await connection.close()

    async def _until_quiet(self) -> None:
        await self._fleet.sandbox("PATCH", "knobs", drop_next_answers=0, fail_after_acting=[])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_LIMIT):
                while not quiet(await fetch(self._fleet.database_url, ROWS)):
                    await asyncio.sleep(1.0)


async def storm(
    database_url: str, server: Any, *, api_version: int, slots: int, clicks: int, seconds: float, seed: int
) -> tuple[Verdict, Counter[str]]:
    """A storm on PostgreSQL (`server` is its server: two `serve`, one `worker`) or on SQLite (one `serve`)."""
    settings = {**SETTINGS, "V0_API_VERSION": str(api_version)}
    async with fleet_of(database_url, **settings) as fleet:
        await fleet.sandbox("PATCH", "knobs", **KNOBS)
        for kind in ("serve", "serve", "worker") if server is not None else ("serve",):
            fleet.add(kind)
        for member in fleet.servers:
            await fleet.until_ready(f"{member.url}/readyz")
        run = Storm(fleet, server, slots, clicks, seconds, random.Random(seed))
        verdict = await run.run()
        for log in sorted(fleet.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            shown = lines[-15:] if verdict.violations else []
            for begin in [number for number, line in enumerate(lines) if "unexpected_error" in line][:3]:
                shown += lines[begin : begin + UNEXPECTED_LINES]  # What was answered 500, and where it came from.
            if shown:
                sys.stderr.write(f"-- {log.name}\n" + "\n".join(shown) + "\n")
        return verdict, run.figures
