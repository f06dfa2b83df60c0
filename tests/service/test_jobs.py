"""What runs a process's own creates, and when it leaves them to others."""

from __future__ import annotations

import asyncio

import pytest

from protokeep import jobs as module
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, Status
from protokeep.jobs import Jobs
from protokeep.service import NewPrototype
from tracked import generation_of
from world import ANN, GENERATION_SECONDS, PROMPT, World, on_sqlite, until


async def test_submitted_where_it_was_claimed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A process that runs jobs submits what it claimed by itself: nothing goes through the queue, nobody else may take it.
    """
    queued: list[str] = []

    async def submit(_jobs: Jobs, mockup_id: str, fence: int, *, first: bool = False) -> None:
        queued.append(mockup_id)

    monkeypatch.setattr(Jobs, "submit", submit)
    async with Jobs(world.keeper, world.database_url).running():
        ensured = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=10)

    assert ensured.accepted
    assert generation_of(ensured.prototype).submission.fence == 1
    assert (queued, world.creates) == ([], 1)


async def test_left_to_whoever_has_time(world: World) -> None:
    """
    A process that runs no jobs queues what it claimed, free to be taken at once.
    """
    jobs = Jobs(world.keeper, world.database_url)
    async with jobs.open():
        ensured = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
        assert generation_of(ensured.prototype).submission.lease_until is None
        async with jobs.running():
            await until(lambda: world.creates == 1, seconds=10)


@on_sqlite
async def test_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    So many run at once and as many wait; with more than that, and once it stops, a process holds no further ones.
    """
    monkeypatch.setattr(module, "SUBMITS_AT_ONCE", 2)
    monkeypatch.setattr(module, "HELD_AT_ONCE", 4)
    running, go_on = 0, asyncio.Event()

    async def submit_held(claimed: Prototype) -> None:
        nonlocal running
        running += 1
        await go_on.wait()

    world.keeper.submit_held = submit_held  # type: ignore[method-assign]
    jobs = Jobs(world.keeper, world.database_url)
    async with jobs.running():
        made = [await world.keeper.ensure(ANN, NewPrototype(f"p-{n}", PROMPT), wait=0) for n in range(5)]
        leases = [generation_of(one.prototype).submission.lease_until for one in made]
        assert [lease is not None for lease in leases] == [True] * 4 + [False]
        await until(lambda: running == 2, seconds=10)
        assert not jobs.has_room()
        go_on.set()
        await until(lambda: running == 4 and jobs.has_room(), seconds=10)
    assert not jobs.has_room()


@on_sqlite
async def test_what_fails_is_swept(world: World) -> None:
    """
    An error of ours in the middle loses nothing: the row is taken up when its lease is over.
    """
    submit_held = world.keeper.submit_held

    async def fails(claimed: Prototype) -> None:
        raise RuntimeError("a mistake of ours")

    world.keeper.submit_held = fails  # type: ignore[method-assign]
    async with Jobs(world.keeper, world.database_url).running():
        ensured = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
        await asyncio.sleep(0)
        world.keeper.submit_held = submit_held  # type: ignore[method-assign]
        world.clock.advance(world.pace.lease.total_seconds() + 1)
        await world.keeper.sweep()
        await until(lambda: world.creates == 1, seconds=10)
    assert generation_of(await world.get(ensured.prototype.id)).submission.recovery_point is not RecoveryPoint.CLAIMED


async def test_hooks_beside_a_pass(world: World) -> None:
    """
    What a hook names is known within a second, while a pass over the account goes on and on.
    """
    made = await world.make()
    account = generation_of(made).account
    await world.keeper.track(account)
    passing = asyncio.Event()

    async def track(_account: str) -> None:
        passing.set()
        await asyncio.sleep(60)

    world.keeper.track = track  # type: ignore[method-assign, assignment]
    async with Jobs(world.keeper, world.database_url).running() as jobs:
        await jobs.track(account)
        async with asyncio.timeout(10):
            await passing.wait()
        now = world.clock.advance(GENERATION_SECONDS)
        await world.store.poll_soon(account, [made.chat_id or ""], now, begun=False, later=now)
        async with asyncio.timeout(5):
            while (await world.get(made.id)).status is not Status.COMPLETED:  # noqa: ASYNC110 - as a person waits
                await asyncio.sleep(0.02)
