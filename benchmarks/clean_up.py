"""The clean-up of an old account, whole: a census, a plan that removes most of it, and a process that is killed again
and again while it is carried out.

`python -m benchmarks.clean_up` takes a few minutes. The emulated v0 answers over HTTP; time is a clock that the
benchmark turns, so that days of grace and quota pass at once. `--chats 400` is quick.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.harness import crowded
from censuses import AFTER_LEASE, AT_ONCE, Censuses
from protokeep import logs
from protokeep.core.call_budget import Limits
from protokeep.core.clean_up import ItemState, Plan, PlanState
from protokeep.core.keep_rules import Selection
from protokeep.core.principals import Principal, Role
from protokeep.sandbox import seed_account
from protokeep.sandbox.state import APIS
from protokeep.service.plan_drafts import PlanOptions
from protokeep.service.plan_reports import PlanReports
from protokeep.service.plans import PlanService
from protokeep.store.migrate import migrate
from world import ADA, KEY, Crash, World

MAX = Principal("default", "max", Role.ADMIN, "token-of-max")
#: Calls in a day: the limit that users of v0 report.
CALLS_OF_A_DAY = 10_000
PER_DAY = 1000
#: The process is killed at every so many-th point at which it can be.
KILL_EVERY = 100
RULES_OFF = frozenset({"recent", "shared", "vercel", "favorite"})


@dataclass
class Run:
    """What one run took and left."""

    chats: int
    planned: int
    removed: int
    calls: int
    days: float
    most_calls_of_a_day: int
    kills: int
    seconds: float
    sentence: str
    wrong: int


async def main(arguments: Sequence[str]) -> None:
    """Measure each version of the API, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=4000)
    options = parser.parse_args(arguments)
    logs.configure("error")
    print("| API | chats | planned | removed | wrong | calls | days | most calls of a day | kills | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    sentences = []
    for version in (1, 2):
        run = await measure(options.chats, version)
        sentences.append(f"v{version}: {run.sentence}")
        print(
            f"| v{version} | {run.chats:,} | {run.planned:,} | {run.removed:,} | {run.wrong} | {run.calls:,} "
            f"| {run.days:.1f} | {run.most_calls_of_a_day:,} ({run.most_calls_of_a_day / CALLS_OF_A_DAY:.0%}) "
            f"| {run.kills} | {run.seconds:.0f} |",
            flush=True,
        )
    print(
        f"\nCalls and days are those of carrying the plan out, at {PER_DAY:,} deletions a day and a limit of "
        f"{CALLS_OF_A_DAY:,} calls a day, of which a clean-up may spend a quarter. The process was killed at one in "
        f"{KILL_EVERY} of the points at which it can be, and another one took over. Wrong are chats that are gone and "
        f"were not planned, or were deleted twice. {' '.join(sentences)} {crowded()}"
    )


async def measure(chats: int, version: int) -> Run:
    """One account, from its census to the report."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'protokeep.db'}"
        await migrate(url)
        limits = Limits(per_day=CALLS_OF_A_DAY)
        async with World.open(url, version, timing=AT_ONCE, limits=limits, timeout_seconds=30.0) as world:
            seed_account(world.sandbox, KEY, api=APIS[version - 1], chats=chats, profile="storms")
            first = Censuses(world, world.first)
            await first.run()
            world.clock.advance(timedelta(days=1).total_seconds())
            plans = PlanService(world.first.context)
            options = PlanOptions(per_day=PER_DAY, rules_off=RULES_OFF)
            plan = await plans.propose(ADA, "default", None, Selection(older_than_days=1), options)
            for admin in (ADA, MAX)[: plan.approvals_needed]:
                await plans.approve(admin, plan.id, plan.digest, "default")
            await plans.apply(ADA, plan.id, plan.digest)
            world.clock.advance(timedelta(days=plan.grace_days).total_seconds())
            return await carried_out(world, plans, plan)


async def carried_out(world: World, plans: PlanService, plan: Plan) -> Run:
    """Carry the plan out with processes that are killed, then take a census."""
    items = await plans.all_items("default", plan.id)
    planned = {item.chat_id for item in items if item.state is ItemState.WAITING}
    there = {chat.id for chat in world.sandbox.chats.values() if not chat.deleted}
    calls_of_days: dict[str, int] = {}
    began, began_at, kills, dice = time.monotonic(), world.clock(), 0, random.Random(3)
    first_call = len(world.sandbox.requests)
    while (await plans.get("default", plan.id)).state not in (PlanState.DONE, PlanState.PAUSED):
        node = await world.node()
        points = dice.randrange(1, 2 * KILL_EVERY)

        def kill(_point: str) -> None:
            nonlocal points
            points -= 1
            if points == 0:
                raise Crash

        node.context.checkpoint = kill
        with contextlib.suppress(Crash):
            await steps(world, Censuses(world, node), calls_of_days)
        kills += points <= 0
        await node.close()
        world.nodes.remove(node)
        world.clock.advance(AFTER_LEASE)
    calls, days = len(world.sandbox.requests) - first_call, (world.clock() - began_at) / timedelta(days=1)
    seconds = time.monotonic() - began
    gone = there - {chat.id for chat in world.sandbox.chats.values() if not chat.deleted}
    twice = [chat for chat, number in world.sandbox.deletions.done.items() if number > 1]
    await Censuses(world, world.first).run(whole=True)
    report = await PlanReports(world.first.context, plans).report("default", plan.id)
    return Run(
        chats=len(items),
        planned=len(planned),
        removed=report.removed,
        calls=calls,
        days=days,
        most_calls_of_a_day=max(calls_of_days.values(), default=0),
        kills=kills,
        seconds=seconds,
        sentence=report.sentence,
        wrong=len(gone - planned) + len(twice),
    )


async def steps(world: World, censuses: Censuses, calls_of_days: dict[str, int]) -> None:
    """Take all steps that are due, and count the calls of each day."""
    while True:
        before, day = len(world.sandbox.requests), f"{world.clock():%Y-%m-%d}"
        try:
            due = await censuses.clean_up.step()
        finally:
            calls_of_days[day] = calls_of_days.get(day, 0) + len(world.sandbox.requests) - before
        if due is None:
            return
        world.clock.advance(max((due - world.clock()).total_seconds(), 0.5))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
