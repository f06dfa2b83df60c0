"""How soon somebody else goes on: after a kill, and in a rolling restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx2

from chaos.fleet import Fleet, fleet_of
from chaos.inspect import fetch
from chaos.storm import SETTINGS

OWNER = "SELECT tracker_id FROM protokeep_accounts WHERE tracker_id IS NOT NULL"
LOOKS = "SELECT max(observed_at) AS latest, sum(poll_count) AS looks FROM protokeep_generations"


async def _until(condition: Any, limit: float = 30.0) -> float:
    """Seconds until `condition()` is true; `limit` when it never was."""
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - began < limit:
        if await condition():
            break
        await asyncio.sleep(0.05)
    return asyncio.get_running_loop().time() - began


async def _create(fleet: Fleet, product: str, **headers: str) -> int:
    url = f"{fleet.servers[0].url}/api/design/create-project"
    body = {"product_id": product, "prompt": f"A page for {product}"}
    return (await fleet.http.post(url, json=body, headers=headers)).status_code


async def take_over_of_tracking(database_url: str, rounds: int) -> list[float]:
    """Kill whoever tracks; the seconds until another one has looked. Two workers, one server."""
    seconds = []
    async with fleet_of(database_url, **SETTINGS) as fleet:
        await fleet.sandbox("PATCH", "knobs", generation_seconds=600)
        for kind in ("serve", "worker", "worker"):
            fleet.add(kind)
        await fleet.until_ready(f"{fleet.servers[0].url}/readyz")
        for number in range(20):
            await _create(fleet, f"product-{number}")
        for _ in range(rounds):

            async def tracked() -> bool:
                return bool(await fetch(database_url, OWNER))

            await _until(tracked)
            owner = (await fetch(database_url, OWNER))[0]["tracker_id"]
            pid = int(owner.split(":")[1])
            looks = (await fetch(database_url, LOOKS))[0]["looks"]
            victim = next(member for member in fleet.members if member.pid == pid)
            victim.kill()

            async def taken_over(looks: int = looks, owner: str = owner) -> bool:
                now = await fetch(database_url, OWNER)
                after = (await fetch(database_url, LOOKS))[0]["looks"]
                return bool(now) and now[0]["tracker_id"] != owner and after > looks

            seconds.append(await _until(taken_over))
            victim.start()
            if victim.kind == "serve":
                await fleet.until_ready(f"{victim.url}/readyz")
    return seconds


async def take_over_of_creates(database_url: str, rounds: int) -> tuple[list[float], int]:
    """Kill the one worker inside a create; the seconds until another has the chat in its row, and chats too many."""
    seconds = []
    async with fleet_of(database_url, **SETTINGS) as fleet:
        surplus = 0
        for number in range(rounds):
            await fleet.sandbox("PATCH", "knobs", hold_creates="after", generation_seconds=600)
            first = fleet.add("serve")
            await fleet.until_ready(f"{first.url}/readyz")
            product = f"product-{number}"
            url = f"{first.url}/api/design/create-project"
            body = {"product_id": product, "prompt": "A page"}
            await fleet.http.post(url, json=body, headers={"Prefer": "respond-async"})

            async def held() -> bool:
                return bool((await fleet.sandbox("GET", "stats"))["held"])

            await _until(held)
            second = fleet.add("worker")
            await asyncio.sleep(3.0)  # Until it works: a worker has no address to ask.
            first.kill()
            await fleet.sandbox("PATCH", "knobs", hold_creates=False)
            sql = f"SELECT v0_chat_id AS chat_id FROM design_mockups WHERE product_id = '{product}'"

            async def recorded(sql: str = sql) -> bool:
                return (await fetch(database_url, sql))[0]["chat_id"] is not None

            seconds.append(await _until(recorded))
            second.kill()
            fleet.members.clear()
        chats = (await fleet.sandbox("GET", "stats"))["chats_created"]
        surplus = chats - rounds
    return seconds, surplus


async def rolling_restart(database_url: str, rounds: int) -> tuple[Counter[str], list[float]]:
    """Restart two servers in turn under load; requests by outcome, and how long each stop took.

    The load goes where /readyz says yes, as a load balancer's does, and is never sent twice.
    """
    outcomes: Counter[str] = Counter()
    stops = []
    over = asyncio.Event()
    async with fleet_of(database_url, **SETTINGS) as fleet:
        await fleet.sandbox("PATCH", "knobs", generation_seconds=3, accept_seconds=0.2)
        for _ in range(2):
            await fleet.until_ready(f"{fleet.add('serve').url}/readyz")

        async def load(number: int) -> None:
            turn = 0
            while not over.is_set():
                turn += 1
                ready = [member for member in fleet.servers if member.ready]
                if not ready:
                    outcomes["nobody_ready"] += 1
                    await asyncio.sleep(0.05)
                    continue
                member = ready[(number + turn) % len(ready)]
                body = {"product_id": f"product-{number}-{turn % 7}", "prompt": "A page"}
                try:
                    answer = await fleet.http.post(f"{member.url}/api/design/create-project", json=body)
                    outcomes["answered" if answer.status_code < 300 else f"status_{answer.status_code}"] += 1
                except httpx2.HTTPError as error:
                    outcomes["dropped"] += 1
                    outcomes[type(error).__name__] += 1
                await asyncio.sleep(0.02)

        loads = [asyncio.create_task(load(number)) for number in range(16)]
        await asyncio.sleep(1.0)
        for _ in range(rounds):
            for member in fleet.servers:
                stops.append(await member.stop())
                member.start()
                await fleet.until_ready(f"{member.url}/readyz")
                await asyncio.sleep(0.5)
        over.set()
        await asyncio.gather(*loads)
    return outcomes, stops
