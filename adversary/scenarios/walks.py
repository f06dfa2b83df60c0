"""Walks over an account that do not see everything: cut, refused, out of order, with a filter that is ignored."""

from __future__ import annotations

import asyncio

from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.scenario import SQLITE, scenario

DAY = 86_400.0


@scenario(databases=SQLITE, versions=(1, 2))
async def pinned_favourites(world: World) -> None:
    """Sixty old favourites come first in the list, and a create's answer is lost among 200 other chats."""
    await _lose_among(world, others=200, order="pinned")


@scenario(databases=SQLITE, versions=(1, 2))
async def oldest_first(world: World) -> None:
    """The list is oldest first and 10,100 chats long, and a create's answer is lost."""
    await _lose_among(world, others=world.pick(short=700, full=10_100), order="oldest")


@scenario(databases=SQLITE, versions=(1, 2))
async def no_order(world: World) -> None:
    """The list is in another order on every page, and a create's answer is lost."""
    await _lose_among(world, others=200, order="random")


async def _lose_among(world: World, *, others: int, order: str) -> None:
    await world.open("serve")
    world.v0.account.plant(others, age=400 * DAY)
    if order == "pinned":
        world.v0.account.plant(60, age=300 * DAY, pinned=True)
    world.v0.knobs.turn(order=order, search="ignored")
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    await world.create("lost")
    await asyncio.sleep(40)
    await world.settles(60)
    world.report.note(lists=world.v0.calls_of(Operation.LIST), details=world.v0.calls_of(Operation.DETAIL))
    await world.verdict({"lost": 1})


@scenario(databases=SQLITE, versions=(1, 2))
async def cut_walks(world: World) -> None:
    """Page 2 of every walk fails for 40 s, with the lost chat behind it. Not found is not absent."""
    await _refuse_pages(world, Fault(act=False, status=500), 40)


@scenario(databases=SQLITE, versions=(1, 2))
async def reset_walks(world: World) -> None:
    """Page 2 of every walk is cut off in its midst for 40 s."""
    await _refuse_pages(world, Fault(reset_midway=True), 40)


@scenario(databases=SQLITE, versions=(1, 2))
async def refused_walks(world: World) -> None:
    """Page 2 of every walk is refused with 429 and Retry-After: 30, for 40 s; few lists are asked for meanwhile."""
    await _refuse_pages(world, Fault(act=False, status=429, headers={"Retry-After": "30"}), 40)
    asked = world.v0.calls_of(Operation.LIST)
    world.report.expect(asked <= 60, "retry_after_not_heeded", f"{asked} lists")


async def _refuse_pages(world: World, fault: Fault, seconds: int) -> None:
    await world.open("serve")
    # The lost chat is on the last page; its list is oldest first, and v2's search by metadata is ignored.
    world.v0.account.plant(350, age=3_000.0)
    world.v0.knobs.turn(order="oldest", search="ignored")
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    world.v0.fail(Operation.LIST, fault, times=-1, page=2)
    made = (await world.create("lost")).json()
    await asyncio.sleep(seconds)
    found = await world.view(made["id"])
    world.report.note(meanwhile=found.get("state"), chats_meanwhile=len(world.v0.account.ours()))
    world.v0.knobs.turn(rules=[])
    await world.settles(120)
    await world.verdict({"lost": 1})


@scenario(databases=SQLITE, versions=(1, 2))
async def late_index(world: World) -> None:
    """Lists and the search by metadata show a chat only after 60 s, with gaps. Defaults are used."""
    await world.open("serve", defaults=True)
    late = world.pick(short=30, full=60)
    world.v0.knobs.turn(list_lag=late, index_lag=late, flicker=[(late + 5, late + 15)])
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True), times=2, skip=1)
    for number in range(4):
        await world.create(f"p{number}", wait=0)
    await asyncio.sleep(late + 10)
    await world.settles(150)
    await world.verdict({f"p{number}": 1 for number in range(4)})


@scenario(databases=SQLITE, versions=(2,))
async def search_finds_nothing(world: World) -> None:
    """The search by metadata finds nothing for ever, though lists show the chat. Creates' answers are lost."""
    await world.open("serve")
    world.v0.knobs.turn(search="empty")
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    await world.create("lost")
    await asyncio.sleep(45)
    await world.settles(60)
    evidence = await world.verdict()
    # v0 says in its document that the search finds all: the second chat has to be seen and shown, at the least.
    world.report.note(surplus=len(evidence.surplus))


@scenario(databases=SQLITE, versions=(1, 2))
async def repeated_rows(world: World) -> None:
    """Rows come twice at the borders of pages, and a create's answer is lost."""
    await world.open("serve")
    world.v0.account.plant(250, age=3_000.0)
    world.v0.knobs.turn(repeated_rows=3, search="ignored", order="oldest")
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    await world.create("lost")
    await asyncio.sleep(30)
    await world.settles(60)
    await world.verdict({"lost": 1})
