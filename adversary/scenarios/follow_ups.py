"""Follow-ups with no fault, or with a single 429: two people at once, the same words twice, a probe."""

from __future__ import annotations

import asyncio
from collections import Counter

from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.scenario import BOTH, scenario

TOO_MANY = {"Retry-After": "1"}


@scenario(databases=BOTH, versions=(2, 1))
async def two_keys(world: World) -> None:
    """Two people change one ready prototype at the same moment, each with an idempotency key of their own.

    Whatever was answered 200 or 202 is at v0 once, and the other one is refused.
    """
    await world.open(*(("serve", "serve") if world.database.kind == "postgresql" else ("serve",)))
    world.v0.knobs.turn(generation_seconds=0.5)
    tokens = [await world.token("maker", person) for person in ("bea", "cem")]
    products = [f"p{number}" for number in range(world.pick(short=4, full=50))]
    made = await world.create_ready(*products)
    accepted: list[str] = []
    codes: Counter[int] = Counter()

    async def change(product: str, round_number: int, person: int) -> None:
        text = f"change {product} {round_number} by {person}"
        member = world.members[person % len(world.members)]
        answer = await world.send_follow_up(made[product], text, member, key=text, wait=0, token=tokens[person])
        codes[answer.status_code] += 1
        if answer.status_code in (200, 202):
            accepted.append(text)

    for number in range(world.pick(short=1, full=25)):
        await asyncio.gather(*(change(product, number, person) for product in products for person in (0, 1)))
        await world.settles(60)
    world.report.note(answers=dict(codes), accepted=len(accepted))
    world.report.expect(set(codes) <= {200, 202, 409}, "answers", dict(codes))
    await world.verdict(dict.fromkeys(products, 1), dict.fromkeys(accepted, 1))
    said = {text for chat in world.v0.account.ours() for text in chat.user_texts()[1:]}
    world.report.expect(said <= set(accepted), "refused_and_sent", sorted(said - set(accepted))[:3])


@scenario(versions=(2, 1))
async def one_key_when_ready(world: World) -> None:
    """One person sends a message with a key the moment that a prototype is ready, for many prototypes."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=0.5)
    texts: list[str] = []

    async def one(number: int) -> None:
        prototype_id = (await world.create(f"p{number}")).json()["id"]
        await world.all_are("ready", prototype_id)
        text = f"change {number}"
        answer = await world.send_follow_up(prototype_id, text, key=text, wait=0)
        if answer.status_code in (200, 202):
            texts.append(text)

    for start in range(0, world.pick(short=10, full=150), 10):
        await asyncio.gather(*(one(number) for number in range(start, start + 10)))
    await world.settles(60)
    world.report.note(accepted=len(texts))
    await world.verdict({}, dict.fromkeys(texts, 1))


@scenario(versions=(2, 1))
async def same_words(world: World) -> None:
    """`continue` is said and done; a 429 pauses the account for 40 s; `continue` is said again. Both are at v0."""
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(generation_seconds=1)
    prototype_id = (await world.create_ready("p"))["p"]
    await world.send_follow_up(prototype_id, "continue")
    await world.all_are("ready", prototype_id)
    seconds = world.pick(short=33, full=40)
    world.v0.fail(Operation.CREATE, Fault(act=False, status=429, headers={"Retry-After": str(seconds)}))
    await world.create("other")
    again = await world.send_follow_up(prototype_id, "continue", key="again")
    world.report.note(second_answer=again.status_code)
    ready = await world.all_are("ready", prototype_id, seconds=seconds + 60)
    await world.settles(30)
    world.report.expect(ready, "rests", (await world.view(prototype_id)).get("state"))
    await world.verdict({"p": 1, "other": 1}, {"continue": 2})


@scenario(versions=(2, 1))
async def probe_released(world: World) -> None:
    """One follow-up is answered 429 with Retry-After: 1, once. It, four others and a create are sent within 15 s."""
    await world.open("serve", defaults=True)
    world.v0.knobs.turn(generation_seconds=1)
    products = [f"p{number}" for number in range(5)]
    made = await world.create_ready(*products)
    world.v0.fail(Operation.SEND, Fault(act=False, status=429, headers=TOO_MANY))
    for product in products:
        await world.send_follow_up(made[product], f"change {product}", wait=0)
        await asyncio.sleep(0.3)
    await world.create("new", wait=0)
    wanted = {f"change {product}" for product in products} | {"A page for new"}

    async def all_sent() -> bool:
        return wanted <= {text for chat in world.v0.account.ours() for text in chat.user_texts()}

    world.report.expect(await world.until(all_sent, 15), "waits_without_cause", "not all were sent within 15 s")
    await world.until(all_sent, 150)
    await world.settles(30)
    await world.verdict(dict.fromkeys([*products, "new"], 1), {f"change {product}": 1 for product in products})
