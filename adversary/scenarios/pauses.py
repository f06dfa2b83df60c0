"""Processes that sleep at any line and wake as zombies: SIGSTOP between a commit and its call, and in bursts."""

from __future__ import annotations

import asyncio
from collections import Counter

from adversary.harness import World
from adversary.members import Member
from adversary.scenario import POSTGRESQL, SQLITE, scenario

#: Longer than the time after which a lost create is sent again: with the quick settings, and with the defaults.
QUICK_PAUSE = 34.0
DEFAULT_PAUSE = 115.0
#: The create's event is in the same transaction as its mark, and its text goes over the wire to PostgreSQL.
SENT = b'"attempt": 1'
CLAIMED = b'"outcome": '


@scenario(databases=POSTGRESQL)
async def pause_at_sent(world: World) -> None:
    """A process is stopped when the commit of `sent` has left it, and woken after another one has taken over."""
    await _wake_as_zombie(world, QUICK_PAUSE, defaults=False)


@scenario(databases=POSTGRESQL)
async def pause_at_sent_defaults(world: World) -> None:
    """A process is stopped for 115 s between the commit of `sent` and its call, with the settings that users have."""
    if world.short:
        await _wake_as_zombie(world, QUICK_PAUSE, defaults=False)
    else:
        await _wake_as_zombie(world, DEFAULT_PAUSE, defaults=True)


@scenario(databases=POSTGRESQL)
async def pause_at_claim(world: World) -> None:
    """A process is stopped when the commit of a create's claim has left it, and woken after another one has sent it."""
    await _wake_as_zombie(world, QUICK_PAUSE, defaults=False, sign=CLAIMED)


async def _wake_as_zombie(world: World, seconds: float, *, defaults: bool, sign: bytes = SENT) -> None:
    await world.open(defaults=defaults)
    proxy, through = await world.database_proxy()
    sleeper = world.add("serve", "sleeper", **through)
    await world.ready(sleeper)
    stopped = proxy.when_commits(sign, sleeper.sleep)
    world.begin(world.create("z", sleeper, wait=0, patience=300))
    await asyncio.wait_for(stopped.wait(), 30)
    await world.ready(world.add("serve", "other"))
    taken_over = await world.until(lambda: _made(world, 1), seconds)
    world.report.note(taken_over=taken_over)
    await asyncio.sleep(3)
    sleeper.wake()
    await asyncio.sleep(8)
    await world.settles(60)
    await world.verdict({"z": 1})


@scenario(databases=SQLITE)
async def pause_creates(world: World) -> None:
    """Bursts of creates on the only process, which is stopped for 34 s in the midst of each burst."""
    await _burst_creates(world, QUICK_PAUSE, rounds=world.pick(short=1, full=25), defaults=False)


@scenario(databases=POSTGRESQL)
async def pause_creates_of_two(world: World) -> None:
    """Bursts of creates on one process of two, which is stopped for 34 s; the other one takes over."""
    await _burst_creates(world, QUICK_PAUSE, rounds=world.pick(short=1, full=10), defaults=False)


@scenario(databases=SQLITE)
async def pause_creates_defaults(world: World) -> None:
    """Bursts of creates with the settings that users have, and pauses of 115 s."""
    pause = float(world.pick(short=34, full=115))
    await _burst_creates(world, pause, rounds=world.pick(short=1, full=3), defaults=not world.short)


async def _burst_creates(world: World, pause: float, *, rounds: int, defaults: bool) -> None:
    members = ("serve", "serve") if world.database.kind == "postgresql" else ("serve",)
    await world.open(*members, defaults=defaults)
    world.v0.knobs.turn(generation_seconds=1, index_lag=3, list_lag=3)
    size = world.pick(short=20, full=80)
    expected: dict[str, tuple[int, int]] = {}
    for number in range(rounds):
        # The moment of the stop moves through the burst from round to round.
        products = [f"p{number}-{one}" for one in range(size)]
        clicks = [
            world.begin(world.create(product, world.members[0], wait=0, patience=pause + 60)) for product in products
        ]
        await asyncio.sleep(0.15 + 0.13 * (number % 8))
        await _sleep_and_wake(world.members[0], pause)
        for product, answer in zip(products, await asyncio.gather(*clicks), strict=True):
            expected[product] = (1 if answer is not None and answer.status_code in (200, 201, 202) else 0, 1)
        await world.settles(120)
    world.report.note(creates=len(expected), answered=sum(least for least, _ in expected.values()))
    await world.verdict(expected)


@scenario()
async def pause_follow_ups(world: World) -> None:
    """Bursts of follow-ups, one into each ready prototype; their process is stopped for 34 s in the midst."""
    members = ("serve", "serve") if world.database.kind == "postgresql" else ("serve",)
    await world.open(*members)
    world.v0.knobs.turn(generation_seconds=0.5)
    products = [f"p{number}" for number in range(world.pick(short=8, full=40))]
    made = await world.create_ready(*products)
    texts: dict[str, tuple[int, int]] = {}
    codes: Counter[int] = Counter()
    for number in range(world.pick(short=1, full=8)):
        said = [f"change {product} {number}" for product in products]
        clicks = [
            world.begin(world.send_follow_up(made[product], text, world.members[0], key=text, wait=0, patience=95))
            for product, text in zip(products, said, strict=True)
        ]
        await asyncio.sleep(0.05 + 0.06 * (number % 8))
        await _sleep_and_wake(world.members[0], QUICK_PAUSE)
        answers = await asyncio.gather(*clicks)
        await world.settles(120)
        codes.update(answer.status_code if answer is not None else 0 for answer in answers)
        for text, answer in zip(said, answers, strict=True):
            texts[text] = (1, 1) if answer is not None and answer.status_code in (200, 202) else (0, 1)
    world.report.note(follow_ups=len(texts), answers=dict(codes))
    await world.verdict(dict.fromkeys(products, 1), texts)


async def _sleep_and_wake(member: Member, seconds: float) -> None:
    member.sleep()
    await asyncio.sleep(seconds)
    member.wake()


async def _made(world: World, count: int) -> bool:
    return len(world.v0.account.ours()) >= count
