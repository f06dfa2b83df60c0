"""Prototypes that were deleted, by people and by the owner's SQL. What lists still show does not bring them back."""

from __future__ import annotations

import asyncio

from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.scenario import BOTH, scenario


@scenario(databases=BOTH, versions=(2, 1))
async def deleted_stays_deleted(world: World) -> None:
    """A prototype is deleted, v0's lists show its chat for 60 s more, and the server restarts."""
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(generation_seconds=1, deleted_lag=60)
    made = await world.create_ready("p", "q")
    answer = await world.delete(made["p"])
    world.report.note(delete=answer.status_code)
    await world.until(lambda: _gone(world, "p"), 30)
    await _restart_twice(world)
    await _none_came_back(world, "p")
    await world.verdict({"q": 1})


@scenario(databases=BOTH, versions=(2, 1))
async def owner_deletes_row(world: World) -> None:
    """The owner's own SQL deletes rows of design_mockups, and the server restarts. They stay deleted."""
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(generation_seconds=1)
    await world.create_ready("p", "q")
    await world.database.execute("DELETE FROM design_mockups WHERE product_id = 'p'")
    await _restart_twice(world)
    await _none_came_back(world, "p")
    state = (await world.status("q")).get("state")
    world.report.expect(state == "ready", "rests", f"q is {state}")


@scenario(databases=BOTH, versions=(2, 1))
async def deleted_in_doubt(world: World) -> None:
    """The answer to a deletion is lost, or it is a 500 after acting. It is done once, and the row goes."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1, deleted_lag=30)
    made = await world.create_ready("p", "q", "r")
    for product, fault in (("p", Fault(reset_unanswered=True)), ("q", Fault(status=500)), ("r", Fault(status=409))):
        world.v0.fail(Operation.DELETE, fault)
        answer = await world.delete(made[product])
        world.report.note(**{product: answer.status_code})
    await world.until(lambda: _gone(world, "p", "q", "r"), 60)
    await world.restart(world.members[0])
    await asyncio.sleep(5)
    for product in made:
        await _none_came_back(world, product)
    await world.verdict()


@scenario(databases=BOTH, versions=(2,))
async def deleted_while_made(world: World) -> None:
    """A prototype is deleted while its create is in the call, and while its answer is lost."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1, deleted_lag=20)
    world.v0.fail(Operation.CREATE, Fault(before=2))
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True), skip=0)
    for product in ("slow", "lost"):
        made = (await world.create(product, wait=0)).json()["id"]
        await asyncio.sleep(0.5)
        answer = await world.delete(made)
        world.report.note(**{product: answer.status_code})
        await asyncio.sleep(3)
    await world.settles(60)
    await world.until(lambda: _gone(world, "slow", "lost"), 90)
    await world.restart(world.members[0])
    await asyncio.sleep(5)
    alive = [chat.product() for chat in world.v0.account.ours() if chat.deleted_at is None]
    world.report.expect(not alive, "left_at_v0", alive)
    for product in ("slow", "lost"):
        await _none_came_back(world, product)


async def _restart_twice(world: World) -> None:
    """Once only in the short form."""
    await world.restart(world.members[0], politely=True)
    await asyncio.sleep(4)
    if not world.short:
        await world.restart(world.members[0])
        await asyncio.sleep(6)


async def _gone(world: World, *products: str) -> bool:
    rows = await world.database.rows("SELECT product_id FROM design_mockups")
    return not {row["product_id"] for row in rows} & set(products)


async def _none_came_back(world: World, product: str) -> None:
    rows = await world.database.rows(f"SELECT project_status FROM design_mockups WHERE product_id = '{product}'")
    world.report.expect(not rows, "came_back", f"{product} is {[row['project_status'] for row in rows]}")
