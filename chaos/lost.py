"""Lost answers by the thousand: v0 acts, the connection breaks, and the chat has to be found again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from chaos.fleet import Fleet, fleet_of
from chaos.inspect import ROWS, Verdict, fetch, judge, quiet

#: One answer in so many is lost: more in a row open the account's circuit, which is another story.
EVERY = 5
AT_ONCE = 20
KNOBS = {"generation_seconds": [2, 10], "accept_seconds": 0.02, "list_delay_seconds": 4, "drop_every": EVERY}
PATIENCE = 180.0


async def lost_answers(database_url: str, creates: int, api_version: int) -> tuple[Verdict, dict[str, Any]]:
    """So many products, each asked for once, with the settings that users have; every fifth answer is lost."""
    settings = {"V0_API_VERSION": str(api_version), "PROTOKEEP_LOG_LEVEL": "warning"}
    settings |= {"PROTOKEEP_V0_CALLS_PER_MINUTE": "0", "PROTOKEEP_V0_CALLS_PER_DAY": "0"}
    async with fleet_of(database_url, **settings) as fleet:
        await fleet.sandbox("PATCH", "knobs", **KNOBS)
        server = fleet.add("serve")
        await fleet.until_ready(f"{server.url}/readyz")
        fleet.stop_watching()
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as asking:
            for number in range(creates):
                await places.acquire()
                asking.create_task(_ask(fleet, number, places))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not quiet(await fetch(database_url, ROWS)):
                    await asyncio.sleep(1.0)
        chats = (await fleet.sandbox("GET", "chats"))["chats"]
        verdict = await judge(database_url, chats, {f"product-{number}": 1 for number in range(creates)})
        lost = (await fleet.sandbox("GET", "stats"))["statuses"].get("dropped", 0)
        within = sum(1 for seconds in verdict.adopted_after if seconds <= 60)
        figures = {
            "creates": creates,
            "lost_answers": lost,
            "found_again": len(verdict.adopted_after),
            "found_again_within_60_s": within,
            "longest_seconds": round(max(verdict.adopted_after, default=0.0), 1),
            "duplicates": verdict.duplicates,
            "unknown_chats": verdict.unknown_chats,
            "violations": len(verdict.violations),
        }
        return verdict, figures


async def _ask(fleet: Fleet, number: int, places: asyncio.Semaphore) -> None:
    try:
        body = {"product_id": f"product-{number}", "prompt": f"A page for product {number}"}
        url = f"{fleet.servers[0].url}/api/design/create-project"
        answer = await fleet.http.post(url, json=body, headers={"Prefer": "respond-async"})
        answer.raise_for_status()
    finally:
        places.release()
