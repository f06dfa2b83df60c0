"""Chats of somebody else's in the same account that cannot be read as the documents say. They stop nothing of ours."""

from __future__ import annotations

import asyncio
from typing import Any

from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.scenario import BOTH, SQLITE, scenario

STRANGE_ROWS: tuple[dict[str, Any], ...] = (
    {"id": "x" * 300},
    {"id": "a\nb\x00c"},
    {"id": "\u202egnp.exe"},
    {"id": 12345},
    {"id": None},
    {"createdAt": "yesterday"},
    {"createdAt": None, "updatedAt": None},
    {"metadata": ["not", "an", "object"]},
    {"metadata": {"protokeep_marker": 7, "protokeep_product": None}},
    {"latestVersion": "none", "title": 5, "webUrl": "javascript:alert(1)"},
)


@scenario(databases=SQLITE, versions=(1, 2))
async def poison_forbidden(world: World) -> None:
    """A team-mate's private chat answers 403."""
    await _poison(world, "403")


@scenario(databases=SQLITE, versions=(1, 2))
async def poison_failing(world: World) -> None:
    """A chat answers 500 whenever it is read."""
    await _poison(world, "500")


@scenario(databases=SQLITE, versions=(1, 2))
async def poison_oversized(world: World) -> None:
    """A chat of 9 MiB."""
    await _poison(world, "oversized")


@scenario(databases=BOTH, versions=(1, 2))
async def poison_malformed(world: World) -> None:
    """A chat whose JSON has other types than the document says."""
    await _poison(world, "malformed")


@scenario(databases=SQLITE, versions=(1, 2))
async def poison_not_json(world: World) -> None:
    """A chat whose body is cut off JSON."""
    await _poison(world, "not_json")


async def _poison(world: World, kind: str) -> None:
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1)
    await world.create("before")
    world.v0.account.plant(2, age=600.0, poison=kind)
    await _adopts_and_makes(world)
    words = "".join(member.output() for member in world.members)
    world.report.note(log_bytes=len(words))
    await world.verdict({"before": 1, "lost": 1, "after": 1})


@scenario(databases=BOTH, versions=(1, 2))
async def poison_rows(world: World) -> None:
    """Rows in lists with ids of 300 letters, control characters, numbers, and values of other types."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1, search="ignored")
    await world.create("before")
    for shown in STRANGE_ROWS:
        world.v0.account.plant(1, age=600.0, shown=shown)
    await _adopts_and_makes(world)
    await world.verdict({"before": 1, "lost": 1, "after": 1})


@scenario(databases=SQLITE, versions=(1, 2))
async def poison_own(world: World) -> None:
    """A read of one of our own chats answers 403; those after it are looked at all the same."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=3)
    products = [f"p{number}" for number in range(6)]
    ids = [(await world.create(product)).json()["id"] for product in products]
    poisoned = str((await world.view(ids[1]))["v0_chat_id"])
    for operation in (Operation.DETAIL, Operation.MESSAGE, Operation.MESSAGES):
        world.v0.fail(operation, Fault(act=False, status=403), times=-1, holding=poisoned)
    world.v0.knobs.turn(flicker=[(0, 10_000)])
    ready = await world.all_are("ready", *(one for one in ids if one != ids[1]), seconds=60)
    world.report.expect(ready, "poisons_others", [(await world.view(one)).get("state") for one in ids])
    world.v0.knobs.turn(rules=[], flicker=[])
    await world.all_are("ready", ids[1], seconds=90)
    await world.verdict(dict.fromkeys(products, 1))


async def _adopts_and_makes(world: World) -> None:
    """A create's lost answer is found again; after a restart, other creates are sent."""
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    lost = (await world.create("lost")).json()["id"]
    world.report.expect(await _has_chat(world, lost, 60), "never_adopted", (await world.view(lost)).get("state"))
    await world.restart(world.members[0])
    after = (await world.create("after")).json()["id"]
    made = await _has_chat(world, after, 40)
    found = await world.view(after)
    world.report.expect(made, "account_blocked", f"{found.get('state')}: {found.get('reason')}")
    await asyncio.sleep(3)
    await world.settles(60)


async def _has_chat(world: World, prototype_id: str, seconds: float) -> bool:
    async def has_chat() -> bool:
        return (await world.view(prototype_id)).get("v0_chat_id") is not None

    return await world.until(has_chat, seconds)
