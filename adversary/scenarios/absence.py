"""Chats that cannot be seen for a while: young ones, all of them, one of them. Absence proves nothing."""

from __future__ import annotations

import asyncio

from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.scenario import BOTH, SQLITE, scenario

NOT_FOUND = Fault(act=False, status=404)
#: States that a prototype may have while v0 does not show it.
PATIENT = {"queued", "making", "not_visible", "undecided", "parked", "ready", "waiting"}


@scenario(databases=SQLITE, versions=(2, 1))
async def read_lag(world: World) -> None:
    """A new chat reads 404, and is in no list, for 16 s. It ends ready, and the next click makes no second one."""
    await _late_to_be_read(world, 16)


@scenario(databases=SQLITE, versions=(2, 1))
async def read_lag_long(world: World) -> None:
    """A new chat reads 404, and is in no list, for 80 s: nearly as long as lists are given."""
    await _late_to_be_read(world, world.pick(short=30, full=80))


async def _late_to_be_read(world: World, seconds: int) -> None:
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(read_lag=seconds, list_lag=seconds, index_lag=seconds, generation_seconds=3)
    made = (await world.create("p")).json()
    await asyncio.sleep(seconds - 2)
    await _click_again(world, ["p"])
    ready = await world.all_are("ready", made["id"], seconds=60)
    found = await world.view(made["id"])
    world.report.expect(ready, "lost_sight", f"{found.get('state')}, {found.get('error')}")
    await _click_again(world, ["p"])
    await world.settles(60)
    await world.verdict({"p": 1})


@scenario(databases=BOTH, versions=(2, 1))
async def blackout_20(world: World) -> None:
    """Twenty seconds of 404 for all chats in mid-generation: 0 failed, 0 second chats, all end ready."""
    await _all_unseen(world, 20)


@scenario(databases=BOTH, versions=(2, 1))
async def blackout_90(world: World) -> None:
    """Ninety seconds of 404 for all chats in mid-generation; lists are empty too."""
    await _all_unseen(world, world.pick(short=45, full=90))


async def _all_unseen(world: World, seconds: int) -> None:
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(generation_seconds=15)
    products = [f"p{number}" for number in range(world.pick(short=6, full=100))]
    answers = await asyncio.gather(*(world.create(product, wait=0) for product in products))
    ids = [answer.json()["id"] for answer in answers]

    async def all_made() -> bool:
        return len(world.v0.account.ours()) == len(products)

    await world.until(all_made, 60)
    await asyncio.sleep(5)
    world.v0.knobs.turn(blackout=True)
    await asyncio.sleep(seconds - 3)
    states = {(await world.view(one))["state"] for one in ids}
    world.report.expect(states <= PATIENT, "absence_believed", f"{sorted(states)} while nothing can be seen")
    await _click_again(world, products)
    await asyncio.sleep(3)
    world.v0.knobs.turn(blackout=False)
    ready = await world.all_are("ready", *ids, seconds=90)
    world.report.expect(ready, "lost_sight", "not all are ready 90 s after they could be seen again")
    await world.settles(60)
    await world.verdict(dict.fromkeys(products, 1))


@scenario(databases=BOTH, versions=(2, 1))
async def one_unseen(world: World) -> None:
    """One chat of several reads 404 for a while, young and later finished. It comes back by itself."""
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(generation_seconds=12)
    products = [f"p{number}" for number in range(4)]
    answers = [await world.create(product) for product in products]
    ids = [answer.json()["id"] for answer in answers]
    hidden = str((await world.view(ids[0]))["v0_chat_id"])
    world.v0.knobs.turn(hidden=[hidden])
    await asyncio.sleep(world.pick(short=25, full=60))
    found = await world.view(ids[0])
    world.report.expect(found["state"] in PATIENT, "absence_believed", f"{found['state']}, {found['error']}")
    await _click_again(world, products)
    world.v0.knobs.turn(hidden=[])
    ready = await world.all_are("ready", *ids, seconds=120)
    world.report.expect(ready, "lost_sight", [(await world.view(one))["state"] for one in ids])
    await world.settles(60)
    await world.verdict(dict.fromkeys(products, 1))


@scenario(databases=SQLITE, versions=(2, 1))
async def unseen_follow_up(world: World) -> None:
    """v0 answers 404 once to a follow-up, to the read before one, to a stop and to a deletion. None fails for ever."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1)
    made = await world.create_ready("send", "read", "delete")
    answers = {}
    for product, operations in (("send", (Operation.SEND,)), ("read", (Operation.MESSAGES, Operation.DETAIL))):
        chat = str((await world.view(made[product]))["v0_chat_id"])
        for operation in operations:
            world.v0.fail(operation, NOT_FOUND, holding=chat)
        answers[product] = (await world.send_follow_up(made[product], f"change {product}", key=product)).status_code
    world.v0.fail(Operation.DELETE, NOT_FOUND)
    answers["delete"] = (await world.delete(made["delete"])).status_code
    answers["stop"] = await _stop_unseen(world)
    world.report.note(answers=answers)
    for product in ("send", "read"):
        ready = await world.all_are("ready", made[product], seconds=60)
        world.report.expect(ready, "absence_believed", (product, (await world.view(made[product]))["state"]))
    await world.settles(60)
    expected = {f"change {product}": (int(answers[product] < 400), 1) for product in ("send", "read")}
    await world.verdict(dict.fromkeys([*made, "stop"], 1), expected)


async def _stop_unseen(world: World) -> int:
    """Stop what is being generated; v0 answers 404 to that, and goes on."""
    world.v0.knobs.turn(generation_seconds=8)
    prototype_id = (await world.create("stop")).json()["id"]
    world.v0.fail(Operation.STOP, NOT_FOUND)
    answer = await world.http.post(f"{world.members[0].url}/api/design/prototypes/{prototype_id}/stop")
    state = (await world.view(prototype_id)).get("state")
    world.report.expect(state in PATIENT, "absence_believed", f"{state} after a 404 of a stop")
    world.report.expect(await world.all_are("ready", prototype_id, seconds=60), "lost_sight", "after a 404 of a stop")
    return answer.status_code


@scenario(databases=SQLITE, versions=(2, 1))
async def message_lag(world: World) -> None:
    """New messages are missing from reads for 20 s. A follow-up is sent once, and ends ready."""
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(generation_seconds=2)
    made = await world.create_ready("p")
    world.v0.knobs.turn(message_lag=20)
    world.v0.fail(Operation.SEND, Fault(reset_unanswered=True))
    await world.send_follow_up(made["p"], "make it red", key="red", wait=0)
    ready = await world.all_are("ready", made["p"], seconds=150)
    world.report.expect(ready, "lost_sight", (await world.view(made["p"]))["state"])
    await world.verdict({"p": 1}, {"make it red": 1})


async def _click_again(world: World, products: list[str]) -> None:
    for product in products:
        outcome = (await world.create(product, wait=0)).json()["decision"]["outcome"]
        world.report.expect(outcome in ("reused", "replayed"), "replaced", f"{product} is {outcome}")
