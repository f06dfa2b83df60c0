"""Networks between a process and its database: answers that come too late, and connections that go half-open."""

from __future__ import annotations

import asyncio
import time

import httpx2

from adversary.harness import CouldNotRunError, World
from adversary.members import Member
from adversary.proxies import Proxy
from adversary.scenario import BOTH, POSTGRESQL, scenario

#: What the row's event says when a create or a follow-up is marked as sent, and a create claimed and recorded.
SENT = b'"attempt": '
CLAIMED = b'"outcome": '
RECORDED = b'"chat_id": '
QUICK_HOLD = 32.0
DEFAULT_HOLD = 125.0
#: The promise for half-open connections.
ANSWERS_WITHIN = 15.0


@scenario(databases=POSTGRESQL)
async def partition_at_sent(world: World) -> None:
    """PostgreSQL's answer to the commit of a create's `sent` comes after another process has taken over."""
    await _zombie_create(world, QUICK_HOLD, defaults=False)


@scenario(databases=POSTGRESQL)
async def partition_at_sent_defaults(world: World) -> None:
    """PostgreSQL's answer to the commit of `sent` comes 125 s late, with the settings that users have."""
    await _zombie_create(world, QUICK_HOLD if world.short else DEFAULT_HOLD, defaults=not world.short)


@scenario(databases=POSTGRESQL)
async def partition_at_claim(world: World) -> None:
    """PostgreSQL's answer to the commit of a create's claim comes after another process has sent it."""
    await _zombie_create(world, QUICK_HOLD, defaults=False, sign=CLAIMED)


@scenario(databases=POSTGRESQL, versions=(2, 1))
async def partition_at_record(world: World) -> None:
    """The commit that records the chat of a create is cut off from PostgreSQL; another process looks the create up."""
    await _zombie_create(world, QUICK_HOLD, defaults=False, sign=RECORDED)


async def _zombie_create(world: World, seconds: float, *, defaults: bool, sign: bytes = SENT) -> None:
    proxy, cut_off = await _behind_proxy(world, defaults=defaults)
    held = _hold_at_commit(proxy, sign)
    world.begin(world.create("z", cut_off, wait=0, patience=300))
    if not await _within(held, 30):
        raise CouldNotRunError(f"no statement held {sign.decode()}")
    await world.ready(world.add("serve", "other"))

    async def made() -> bool:
        return bool(world.v0.account.ours())

    world.report.note(taken_over=await world.until(made, seconds))
    await asyncio.sleep(3)
    proxy.holds_answers = proxy.holds_requests = False
    await asyncio.sleep(8)
    await world.settles(60)
    await world.verdict({"z": 1})


@scenario(databases=POSTGRESQL, versions=(2, 1))
async def partition_at_follow_up(world: World) -> None:
    """PostgreSQL's answer to the commit of a follow-up's `sent` comes after another process has taken over."""
    proxy, cut_off = await _behind_proxy(world, defaults=False)
    world.v0.knobs.turn(generation_seconds=0.5)
    prototype_id = (await world.create_ready("p"))["p"]
    await asyncio.sleep(1)
    texts = [f"change {number}" for number in range(world.pick(short=1, full=4))]
    for text in texts:
        held = _hold_at_commit(proxy, SENT)
        world.begin(world.send_follow_up(prototype_id, text, cut_off, key=text, wait=0, patience=300))
        if not await _within(held, 30):
            raise CouldNotRunError("the statement that marks the follow-up as sent was not recognised")
        other = world.add("serve", f"other-{text[-1]}")
        await world.ready(other)

        async def said(text: str = text) -> bool:
            return any(text in chat.user_texts() for chat in world.v0.account.ours())

        world.report.note(taken_over=await world.until(said, QUICK_HOLD))
        await asyncio.sleep(3)
        proxy.holds_answers = proxy.holds_requests = False
        await asyncio.sleep(8)
        await world.settles(90)
        await world.all_are("ready", prototype_id)
        await other.stop()
    await world.verdict({"p": 1}, dict.fromkeys(texts, 1))


@scenario(databases=POSTGRESQL)
async def half_open_database(world: World) -> None:
    """All connections of a process to PostgreSQL go silent, new ones work. Creates are answered within 15 s again."""
    await world.open()
    proxy, through = await world.database_proxy()
    member = world.add("serve", "cut-off", **through)
    await world.ready(member)
    await world.create("before", member)
    world.report.note(silent=proxy.silence())
    seconds = await _answers_after(world, member)
    world.report.note(creates_again_after=seconds)
    world.report.expect(seconds is not None and seconds <= ANSWERS_WITHIN, "does_not_recover", f"{seconds} s")
    await world.settles(60)
    await world.verdict()


@scenario(databases=BOTH, versions=(2, 1))
async def half_open_builder(world: World) -> None:
    """All connections of a process to v0 go silent in mid-generation, new ones work. All ends well, nothing twice."""
    await world.open()
    proxy, through = await world.v0_proxy()
    member = world.add("serve", "cut-off", **through)
    await world.ready(member)
    world.v0.knobs.turn(generation_seconds=3)
    products = [f"p{number}" for number in range(world.pick(short=4, full=20))]
    for product in products[: len(products) // 2]:
        await world.create(product, member)
    world.report.note(silent=proxy.silence())
    clicks = [world.begin(world.create(product, member, wait=0)) for product in products[len(products) // 2 :]]
    await asyncio.gather(*clicks)
    settled = await world.settles(120)
    world.report.expect(settled, "rests", "not settled after 120 s")
    await world.verdict(dict.fromkeys(products, 1))


async def _behind_proxy(world: World, *, defaults: bool) -> tuple[Proxy, Member]:
    """The only process, at first: what it claims, it sends."""
    await world.open(defaults=defaults)
    proxy, through = await world.database_proxy()
    cut_off = world.add("serve", "cut-off", **through)
    await world.ready(cut_off)
    return proxy, cut_off


def _hold_at_commit(proxy: Proxy, sign: bytes) -> asyncio.Event:
    """Let the commit of what holds a sign go up, and hold up what comes back, and all after it."""
    loop = asyncio.get_running_loop()

    def hold_requests() -> None:
        proxy.holds_requests = True

    def hold() -> None:
        proxy.holds_answers = True
        loop.call_later(0.1, hold_requests)

    return proxy.when_commits(sign, hold)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _answers_after(world: World, member: Member, limit: float = 100.0) -> int | None:
    """Seconds until a create is answered well again; None: not within the limit."""
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < limit:
        number += 1
        try:
            answer = await world.create(f"n{number}", member, wait=0, patience=8)
        except httpx2.HTTPError:
            continue
        if answer.status_code in (201, 202):
            return round(time.monotonic() - began)
        await asyncio.sleep(1)
    return None
