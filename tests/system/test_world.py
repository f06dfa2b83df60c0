"""The harness itself: what its docstring says is so."""

from __future__ import annotations

import pytest

from protokeep.core.prototype import State, Status
from world import Crash, Site, World, both_versions


@both_versions
async def test_nothing_happens_by_itself_in_a_world(world: World) -> None:
    """
    Nothing happens by itself; a clock that moves and a look complete what was made.
    """
    first = await world.ensure("p-1")
    assert (first.prototype.state, world.creates) == (State.QUEUED, 0)

    await world.work()
    assert (await world.get(first.prototype.id)).state is State.MAKING
    world.clock.advance(10)

    assert (await world.status("p-1")).status is Status.COMPLETED
    assert (world.chats_created, world.creates, await world.orphans()) == (1, 1, set())


async def test_a_crashed_process_leaves_its_lease_and_another_goes_on(world: World) -> None:
    """
    A crashed process leaves its lease behind; another one goes on when it is over.
    """
    world.first.crash_at("after_call")
    first = await world.ensure()
    with pytest.raises(Crash):
        await world.work()
    assert await world.orphans() == set(world.sandbox.chats)
    other = await world.node()

    await other.sweep()
    assert (await world.get(first.prototype.id)).chat_id is None
    world.clock.advance(world.timing.lease.total_seconds())
    await other.sweep()

    assert (await world.get(first.prototype.id)).chat_id == world.chat.id
    assert (world.creates, await world.orphans()) == (1, set())


async def test_the_worlds_web_application_is_real(site: Site, world: World) -> None:
    """
    The web application is real, and its submits run at once.
    """
    answer = await site.create()

    assert (answer.status_code, world.chats_created) == (201, 1)
    assert (await site.status()).json()["id"] == answer.json()["id"]
