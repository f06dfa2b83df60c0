"""What runs a process's own creates, and when it leaves them to others."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.core.qm import QueueManager

from clock import Clock
from protokeep import job_queue
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, Status
from protokeep.job_queue import JobQueue
from protokeep.service import NewPrototype
from tracked import generation_of
from world import ANN, EVE, GENERATION_SECONDS, PROMPT, World, jobs_of, on_sqlite, until


async def test_a_process_that_runs_jobs_submits_its_own_claims(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A process that runs jobs submits what it claimed by itself: nothing goes through the queue, nobody else may take it.
    """
    queued: list[str] = []

    async def submit(_queue: JobQueue, mockup_id: str, fence: int, *, first: bool = False) -> None:
        queued.append(mockup_id)

    monkeypatch.setattr(JobQueue, "submit", submit)
    async with jobs_of(world.keeper, world.database_url)[0].running():
        ensured = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=10)

    assert ensured.accepted
    assert generation_of(ensured.prototype).submission.fence == 1
    assert (queued, world.creates) == ([], 1)


async def test_a_process_without_jobs_leaves_its_claims_to_others(world: World) -> None:
    """
    A process that runs no jobs queues what it claimed, free to be taken at once.
    """
    jobs, queue = jobs_of(world.keeper, world.database_url)
    async with queue.open():
        ensured = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
        assert generation_of(ensured.prototype).submission.lease_until is None
    async with jobs.running():
        await until(lambda: world.creates == 1, seconds=10)


async def test_a_queue_hears_itself_however_long_it_takes_to_listen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    PgQueuer checks at its start whether it hears notifications; one that it sent before it listened would be lost.
    """
    heard: list[object] = []
    listen, check = AsyncpgPoolDriver.add_listener, QueueManager.listener_healthy

    async def listen_late(driver: AsyncpgPoolDriver, *args: Any) -> None:
        if driver._listener_connection is None:
            await asyncio.sleep(0.3)
        await listen(driver, *args)

    async def checked(manager: QueueManager, *args: Any, **values: Any) -> Any:
        heard.append(await check(manager, *args, **values))
        return heard[-1]

    monkeypatch.setattr(AsyncpgPoolDriver, "add_listener", listen_late)
    monkeypatch.setattr(QueueManager, "listener_healthy", checked)
    async with jobs_of(world.keeper, world.database_url)[0].running():
        await until(lambda: bool(heard), seconds=5)


@on_sqlite
async def test_a_process_holds_a_bounded_number_of_claims(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    So many run at once and as many wait; with more than that, and once it stops, a process holds no further ones.
    """
    monkeypatch.setattr(job_queue, "SUBMITS_AT_ONCE", 2)
    monkeypatch.setattr(job_queue, "HELD_AT_ONCE", 4)
    monkeypatch.setattr(job_queue, "PART_OF_WORKSPACE", 1)
    running, go_on = 0, asyncio.Event()

    async def submit_held(claimed: Prototype) -> None:
        nonlocal running
        running += 1
        await go_on.wait()

    world.keeper.submit_held = submit_held  # type: ignore[method-assign]
    jobs, queue = jobs_of(world.keeper, world.database_url)
    async with jobs.running():
        claims = [await world.keeper.ensure(ANN, NewPrototype(f"p-{n}", PROMPT), wait=0) for n in range(5)]
        leases = [generation_of(one.prototype).submission.lease_until for one in claims]
        assert [lease is not None for lease in leases] == [True] * 4 + [False]
        await until(lambda: running == 2, seconds=10)
        assert not queue.has_room("default")
        go_on.set()
        await until(lambda: running == 4 and queue.has_room("default"), seconds=10)
    assert not queue.has_room("default")


@on_sqlite
async def test_a_submit_that_fails_is_taken_up_by_the_sweep(world: World) -> None:
    """
    An error of ours in the middle loses nothing: the row is taken up when its lease is over.
    """
    submit_held = world.keeper.submit_held

    async def fails(claimed: Prototype) -> None:
        raise RuntimeError("a mistake of ours")

    world.keeper.submit_held = fails  # type: ignore[method-assign]
    async with jobs_of(world.keeper, world.database_url)[0].running():
        ensured = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
        await asyncio.sleep(0)
        world.keeper.submit_held = submit_held  # type: ignore[method-assign]
        world.clock.advance(world.timing.lease.total_seconds() + 1)
        await world.keeper.sweep()
        await until(lambda: world.creates == 1, seconds=10)
    assert generation_of(await world.get(ensured.prototype.id)).submission.recovery_point is not RecoveryPoint.CLAIMED


async def test_a_job_of_a_clock_that_was_set_back_is_queued_again(world: World) -> None:
    """
    A create and the polling of an account that were queued while the clock ran an hour ahead are done at once after the
    clock is set back; in between, a second job for the same row waits in vain.
    """
    wall = Clock()
    polled: list[str] = []

    async def track(account: str) -> None:
        polled.append(account)

    world.keeper.track = track  # type: ignore[method-assign]
    jobs, queue = jobs_of(world.keeper, world.database_url, wall_clock=lambda: wall().timestamp())
    async with queue.open():
        wall.advance(3600)
        ensured = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
        account = generation_of(ensured.prototype).account
        await queue.track(account)
        await world.keeper.sweep()
        assert await _delay_by_an_hour(queue, world.database_url) == 2
    async with jobs.running():
        wall.advance(-3600)
        await world.keeper.sweep()
        await queue.track(account)
        await until(lambda: (world.creates, polled) == (1, [account]), seconds=10)


async def _delay_by_an_hour(queue: JobQueue, database_url: str) -> int:
    """Give the queued jobs the times that they have once the clock that stamped them was set back by an hour.

    Returns how many jobs there are.
    """
    if database_url.startswith("sqlite"):
        queued: dict[int, Any] = queue.pgqueuer().qm.queries._jobs  # type: ignore[attr-defined]
        for job in queued.values():
            job["execute_after"] += timedelta(hours=1)
        return len(queued)
    connection = await asyncpg.connect(database_url)
    try:
        delayed = await connection.execute("UPDATE pgqueuer SET execute_after = execute_after + interval '1 hour'")
    finally:
        await connection.close()
    return int(delayed.split()[-1])


async def test_hooks_are_handled_beside_a_long_pass(world: World) -> None:
    """
    What a hook names is known within a second, while a pass over the account goes on and on.
    """
    prototype = await world.make()
    account = generation_of(prototype).account
    await world.keeper.track(account)
    passing = asyncio.Event()

    async def track(_account: str) -> None:
        passing.set()
        await asyncio.sleep(60)

    world.keeper.track = track  # type: ignore[method-assign, assignment]
    jobs, queue = jobs_of(world.keeper, world.database_url)
    async with jobs.running():
        await queue.track(account)
        async with asyncio.timeout(10):
            await passing.wait()
        now = world.clock.advance(GENERATION_SECONDS)
        await world.store.poll_soon(account, [prototype.chat_id or ""], now, begun=False, later=now)
        async with asyncio.timeout(5):
            while (await world.get(prototype.id)).status is not Status.COMPLETED:  # noqa: ASYNC110 - as a person waits
                await asyncio.sleep(0.02)


@on_sqlite
async def test_a_periodic_task_that_fails_runs_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A pass that raises is logged under the name of its task, and neither ends the task nor any other.
    """
    passes: list[str] = []

    async def sweep() -> int:
        passes.append("sweep")
        raise RuntimeError("a mistake of ours")

    async def finalize() -> int:
        passes.append("finalize")
        return 0

    world.keeper.sweep, world.keeper.finalize = sweep, finalize  # type: ignore[method-assign]
    monkeypatch.setattr("protokeep.jobs.SWEEP_SECONDS", 0.01)
    jobs, _queue = jobs_of(world.keeper, world.database_url)
    with structlog.testing.capture_logs() as logs:
        async with jobs.running():
            await until(lambda: passes.count("sweep") >= 2 and passes.count("finalize") >= 2, seconds=10)
    failures = {(line["task"], line["error"]) for line in logs if line["event"] == "task_failed"}
    assert failures == {("sweep", "RuntimeError")}


@on_sqlite
async def test_periodic_tasks_have_names_and_passes_of_their_own(world: World) -> None:
    """
    Each task is named once, and its pass can be called alone, as often as one likes.
    """
    jobs, queue = jobs_of(world.keeper, world.database_url)
    names = [task.name for task in jobs.periodic_tasks]
    assert names == [
        "heartbeat",
        "sweep",
        "reconcile",
        "adoption",
        "finalize",
        "clean_up",
        "hooks",
        "texts",
        "retention",
        "clear_job_log",
    ]
    async with queue.open():
        for task in (*jobs.periodic_tasks, *jobs.periodic_tasks):
            await task.run()


@on_sqlite
async def test_a_workspace_leaves_room_for_another_ones_claim(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A workspace holds part of what a process sends at once and holds: another one's claim is sent at once.
    """
    monkeypatch.setattr(job_queue, "SUBMITS_AT_ONCE", 4)
    monkeypatch.setattr(job_queue, "HELD_AT_ONCE", 8)
    running, go_on = [], asyncio.Event()

    async def submit_held(claimed: Prototype) -> None:
        running.append(generation_of(claimed).workspace_id)
        await go_on.wait()

    world.keeper.submit_held = submit_held  # type: ignore[method-assign]
    jobs, queue = jobs_of(world.keeper, world.database_url)
    async with jobs.running():
        for number in range(6):
            assert queue.has_room("default")
            await world.keeper.ensure(ANN, NewPrototype(f"p-{number}", PROMPT), wait=0)
        assert [queue.has_room(workspace_id) for workspace_id in ("default", "elsewhere")] == [False, True]
        await world.keeper.ensure(EVE, NewPrototype("p-1", PROMPT), wait=0)
        await until(lambda: len(running) == 4, seconds=10)
        assert sorted(running) == ["default"] * 3 + ["elsewhere"]
        go_on.set()
        await until(lambda: queue.has_room("default"), seconds=10)
