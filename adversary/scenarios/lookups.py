"""What look-ups cost: few calls for many lost answers, and none while v0 asks for patience."""

from __future__ import annotations

import asyncio

from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.scenario import SQLITE, scenario

#: The goal for five lost answers among 150 chats in 90 s, look-ups and all else.
CALLS = 300
LISTS_WHILE_REFUSED = 8
BUDGET = {"PROTOKEEP_V0_CALLS_PER_MINUTE": "1200", "PROTOKEEP_V0_CALLS_PER_DAY": "10000"}


@scenario(databases=SQLITE, versions=(1, 2))
async def busy_lookups(world: World) -> None:
    """Five lost answers among 150 chats of the last hour, lists 60 s late: at most 300 calls in 90 s."""
    await _lose_five(world, refuse=False)
    calls = world.v0.calls_of()
    world.report.expect(calls <= CALLS, "calls", f"{calls} in 90 s, {CALLS} at most")
    await world.settles(120)
    await world.verdict({f"p{number}": 1 for number in range(10)})


@scenario(databases=SQLITE, versions=(1, 2))
async def refused_lookups(world: World) -> None:
    """Five lost answers while lists answer 429 with Retry-After: 60: at most 8 of them are asked for in 90 s."""
    await _lose_five(world, refuse=True)
    lists = world.v0.calls_of(Operation.LIST)
    world.report.expect(lists <= LISTS_WHILE_REFUSED, "retry_after_not_heeded", f"{lists} lists in 90 s")
    world.v0.knobs.turn(rules=[])
    await world.settles(180)
    await world.verdict({f"p{number}": 1 for number in range(10)})


async def _lose_five(world: World, *, refuse: bool) -> None:
    await world.open("serve", defaults=True, **BUDGET)
    world.v0.account.plant(150, age=3_000.0)
    world.v0.knobs.turn(list_lag=60, index_lag=60, generation_seconds=1, detail_seconds=0.05)
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True), times=5, every=2)
    if refuse:
        world.v0.fail(Operation.LIST, Fault(act=False, status=429, headers={"Retry-After": "60"}), times=-1)
    for number in range(10):
        await world.create(f"p{number}", wait=0)
        await asyncio.sleep(0.3)
    await asyncio.sleep(87)
    world.report.note(**{f"calls_{name}": count for name, count in world.v0.calls.items()})
