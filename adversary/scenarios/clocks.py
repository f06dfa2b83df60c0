"""Wall clocks that jump: a resumed laptop, `date -s`, NTP, one host of several. The monotonic clock stays true."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from adversary.databases import PostgresDatabase
from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.members import Clock, Member
from adversary.scenario import BOTH, POSTGRESQL, SQLITE, scenario
from postgres import PostgresServer

STEPS = (120, -120, 600, -600, 3600, -3600)
#: The promise for take-over after a SIGKILL, with what a busy machine adds.
TAKEN_OVER_WITHIN = 15.0


@scenario(databases=SQLITE, needs_faketime=True)
async def clock_steps_in_calls(world: World) -> None:
    """The clock of the only host goes 2 min ahead while ten creates wait for an answer that takes 12 s."""
    await world.open(defaults=True)
    clock = world.clock()
    member = world.add("serve", "stepping", **clock.environment)
    await world.ready(member)
    _answer_late(world)
    products = [f"p{number}" for number in range(10)]
    clicks = []
    for product in products:  # Over the seconds between sweeps, and between renewals of a lease.
        clicks.append(world.begin(world.create(product, member, wait=0)))
        await asyncio.sleep(0.25)
    clock.step(120)
    await asyncio.gather(*clicks)
    await asyncio.sleep(world.pick(short=30, full=45))
    await world.settles(60)
    await world.verdict(dict.fromkeys(products, 1))


@scenario(databases=POSTGRESQL, needs_faketime=True)
async def clock_behind_of_one_host(world: World) -> None:
    """One host of two is 2 min behind since shortly after its start; its creates wait 12 s for their answers."""
    await _one_host_wrong(world, -120)


@scenario(databases=POSTGRESQL, needs_faketime=True)
async def clock_ahead_of_one_host(world: World) -> None:
    """One host of two is 2 min ahead since shortly after its start; its creates wait 12 s for their answers."""
    await _one_host_wrong(world, 120)


async def _one_host_wrong(world: World, step: int) -> None:
    await world.open(defaults=True)
    clock = world.clock()
    member = world.add("serve", "stepping", **clock.environment)
    await world.ready(member)
    await world.ready(world.add("serve", "right"))
    _answer_late(world)
    clock.step(step)
    await asyncio.sleep(0.5)
    products = [f"p{number}" for number in range(10)]
    clicks = []
    for product in products:
        clicks.append(world.begin(world.create(product, member, wait=0)))
        await asyncio.sleep(0.25)
    await asyncio.gather(*clicks)
    await asyncio.sleep(world.pick(short=30, full=45))
    await world.settles(60)
    await world.verdict(dict.fromkeys(products, 1))


@scenario(databases=POSTGRESQL, needs_faketime=True)
async def clock_steps_of_database(world: World) -> None:
    """PostgreSQL's own clock goes 2 min and 1 h ahead, and back, while creates wait 12 s for their answers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="adversary-clock-")))
        folder.chmod(0o755)  # The server runs as another account.
        clock = Clock(folder / "clock")
        server = await asyncio.to_thread(_start_by_clock, clock)
        stack.callback(server.stop)
        stack.callback(setattr, world, "database", world.database)
        world.database = PostgresDatabase(server, server.create_database())
        await world.open("serve", "serve", defaults=True)
        for number, step in enumerate((120, 0, 3600, 0)[: world.pick(short=2, full=4)]):
            _answer_late(world)
            clicks = []
            for one in range(6):
                clicks.append(world.begin(world.create(f"p{number}-{one}", world.members[one % 2], wait=0)))
                await asyncio.sleep(0.25)
            clock.step(step)
            await asyncio.gather(*clicks)
            await asyncio.sleep(world.pick(short=20, full=30))
            world.v0.knobs.turn(rules=[])
        world.report.expect(await world.settles(120), "rests", "not settled after 120 s")
        await world.verdict({f"p{n}-{one}": 1 for n in range(world.pick(short=2, full=4)) for one in range(6)})
        for member in world.members:
            member.kill()


def _start_by_clock(clock: Clock) -> PostgresServer:
    """A server that lives by a clock: its processes inherit our environment of this moment."""
    before = dict(os.environ)
    os.environ.update(clock.environment)
    try:
        server = PostgresServer({"log_min_messages": "fatal"})
        server.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return server


@scenario(databases=BOTH, versions=(2, 1), needs_faketime=True)
async def clock_steps_under_load(world: World) -> None:
    """Steps of 2 min, 10 min and 1 h, there and back, while people click and send follow-ups.

    On PostgreSQL one host of two steps. Nothing is made twice, nothing rests, nothing becomes `timeout`.
    """
    await world.open()
    clock = world.clock()
    members = [world.add("serve", "stepping", **clock.environment)]
    if world.database.kind == "postgresql":
        members.append(world.add("serve", "right"))
    await world.ready(*members)
    world.v0.knobs.turn(generation_seconds=2, create_seconds=1.0, index_lag=2)
    products: list[str] = []
    texts: list[str] = []
    for number, step in enumerate(STEPS * world.pick(short=1, full=4)):
        await _step_once(world, clock, step, number, products, texts)
    clock.step(0)
    world.report.expect(await world.settles(90), "rests", "not settled after 90 s")
    world.report.note(creates=len(products), follow_ups=len(texts))
    await world.verdict(dict.fromkeys(products, 1), dict.fromkeys(texts, 1))


async def _step_once(world: World, clock: Clock, step: int, number: int, products: list[str], texts: list[str]) -> None:
    """One step there and back: creates are in their call, then follow-ups, and generations go on meanwhile."""
    fresh = [f"p{number}-{one}" for one in range(world.pick(short=4, full=42))]
    clicks = []
    for index, product in enumerate(fresh):
        clicks.append(world.begin(world.create(product, world.members[index % len(world.members)], wait=0)))
    await asyncio.sleep(0.7)
    clock.step(step)
    answers = await asyncio.gather(*clicks)
    codes = Counter("no answer" if answer is None else str(answer.status_code) for answer in answers)
    accepted = [answer for answer in answers if answer is not None and answer.status_code in (200, 201, 202)]
    world.report.expect(len(accepted) == len(fresh), "refused", f"creates after a step of {step} s: {dict(codes)}")
    products += fresh
    ids = [answer.json()["id"] for answer in accepted]
    ready = await world.all_are("ready", *ids, seconds=40)
    world.report.expect(ready, "rests", f"not ready 40 s after a step of {step} s")
    sending = []
    for one in ids:
        text = f"change {one} {number}"
        texts.append(text)
        sending.append(world.begin(world.send_follow_up(one, text, key=text, wait=0)))
    await asyncio.sleep(0.1)
    clock.step(0)
    for text, answer in zip(texts[-len(ids) :], await asyncio.gather(*sending), strict=True):
        if answer is None or answer.status_code not in (200, 202):
            texts.remove(text)


@scenario(databases=POSTGRESQL, needs_faketime=True)
async def clock_steps_and_kill(world: World) -> None:
    """A host whose clock has stepped is killed while it tracks and in a call. Another takes over within 15 s."""
    await world.open(defaults=True)
    for step in STEPS[-2:] if world.short else STEPS:
        clock = world.clock(f"clock{step}")
        stepping = world.add("serve", f"stepping{step}", **clock.environment)
        await world.ready(stepping)
        world.v0.knobs.turn(generation_seconds=3600)
        tracked = (await world.create(f"tracked{step}", stepping)).json()["id"]
        await asyncio.sleep(6)
        clock.step(step)
        await asyncio.sleep(8)
        # Its answer never comes: the chat is there, and has to be found by whoever takes over.
        world.v0.fail(Operation.CREATE, Fault(after=3600))
        world.begin(world.create(f"sent{step}", stepping, wait=0))
        other = world.add("serve", f"right{step}")
        await world.ready(other)
        await asyncio.sleep(1)
        stepping.kill()
        await _taken_over(world, step, tracked, other)
        await other.stop()
    await world.verdict({f"{kind}{step}": (0, 1) for kind in ("tracked", "sent") for step in STEPS})


async def _taken_over(world: World, step: int, tracked: str, other: Member) -> None:
    began = time.monotonic()
    for chat in world.v0.account.ours():
        chat.messages[-1].ends_at = time.time()
    sent = (await world.status(f"sent{step}", other))["id"]
    for kind, one in (("tracking", tracked), ("create", sent)):

        async def is_ready(one: str = one) -> bool:
            return (await world.view(one, other)).get("state") == "ready"

        await world.until(is_ready, 90)
        seconds = time.monotonic() - began
        world.report.note(**{f"{kind}_after_{step}": round(seconds, 1)})
        world.report.expect(seconds <= TAKEN_OVER_WITHIN, "taken_over_late", f"{kind}: {seconds:.0f} s, step {step} s")


def _answer_late(world: World) -> None:
    world.v0.knobs.turn(create_seconds=0.0, index_lag=10, list_lag=10)
    world.v0.fail(Operation.CREATE, Fault(before=12), times=10)
