"""v0 acts and answers with a refusal that its documents do not know as one; or it has moved, and says where to."""

from __future__ import annotations

from typing import Any

import pytest

from protokeep.core.prototype import Prototype, State, Status
from tracked import generation_of
from world import ANN, World, both_versions, on_sqlite

CREATES = "chats.create*"
WORDS = "Make it blue"


def follow_up(world: World) -> str:
    """The operation that sends a message."""
    return "chats.sendMessage" if api_version(world) == 1 else "messages.sendAsync"


def api_version(world: World) -> int:
    """The version of v0's API that this world speaks."""
    return int(world.keeper.context.providers.for_new()[0][1].api_version)


def said(world: World) -> list[str]:
    """What users said after the first message, in all chats."""
    return [one.content for chat in world.sandbox.chats.values() for one in chat.messages if one.role == "user"][1:]


async def asked(world: World, prototype: Prototype) -> Prototype:
    """The prototype once a follow-up was claimed and its job has run."""
    await world.keeper.iterate(ANN, prototype.id, WORDS, wait=0)
    await world.keeper.submit(prototype.id)
    return await world.get(prototype.id)


@both_versions
@pytest.mark.parametrize("status", [408, 409, 425, 499])
async def test_a_create_that_acted_and_was_refused_is_adopted(world: World, status: int) -> None:
    """The chat that v0 made before it said no is the prototype's; none is made beside it, and none is lost."""
    with world.knobs(fail_after_acting=[{"operation": CREATES, "status": status}]):
        made = await world.make()
    assert (made.state, world.chats_created) == (State.UNDECIDED, 1)

    await world.live(30)

    assert (await world.get(made.id)).status is Status.COMPLETED
    assert world.creates == 1
    assert await world.orphans() == set()


@both_versions
async def test_a_create_that_acted_and_redirected_is_looked_up(world: World) -> None:
    """A 302, which may point to what was made, is looked up too."""
    rule: dict[str, Any] = {"status": 302, "headers": {"location": "/chats/1"}, "acts": True, "operation": CREATES}
    with world.knobs(answer_next=[rule]):
        made = await world.make()
    assert (made.state, world.chats_created) == (State.UNDECIDED, 1)

    await world.live(30)

    assert (await world.get(made.id)).status is Status.COMPLETED
    assert world.creates == 1


@both_versions
async def test_a_refused_create_that_did_not_act_is_sent_once_more(world: World) -> None:
    """A 409 without an act looks the same; once walks have shown that nothing was made, it is sent once more."""
    with world.knobs(fail_next=[{"operation": CREATES, "status": 409}]):
        made = await world.make()
    assert (made.state, world.chats_created) == (State.UNDECIDED, 0)

    await world.live(world.timing.settle.total_seconds() + 60)

    assert (await world.get(made.id)).status is Status.COMPLETED
    assert (world.creates, world.chats_created) == (2, 1)


@both_versions
async def test_a_create_that_is_refused_twice_without_acting_is_refused(world: World) -> None:
    """A 409 each time, and nothing is ever made: the second one counts as the refusal that it is."""
    with world.knobs(fail_next=[{"operation": CREATES, "status": 409, "message": "Not now.", "times": None}]):
        made = await world.make()
        await world.live(2 * world.timing.settle.total_seconds() + 120)

        made = await world.get(made.id)
        assert (made.status, world.creates, world.chats_created) == (Status.FAILED, 2, 0)
        assert "Not now." in (generation_of(made).error.message or "")


@both_versions
@pytest.mark.parametrize("status", [409, 499])
async def test_a_message_that_was_taken_and_refused_is_not_sent_again(world: World, status: int) -> None:
    """A follow-up that v0 took before it said no is neither sent again nor told as refused."""
    first = await world.complete()
    world.clock.advance(60)
    with world.knobs(fail_after_acting=[{"operation": follow_up(world), "status": status}]):
        after = await asked(world, first)
    assert generation_of(after).hold.code != "follow_up_refused"

    await world.live(60)

    assert said(world) == [WORDS]
    assert (await world.get(first.id)).status is Status.COMPLETED


@both_versions
async def test_a_message_that_is_refused_each_time_is_refused(world: World) -> None:
    """A 409 each time: the follow-up is told as refused, and is no fault of the prototype, which is ready as before."""
    first = await world.complete()
    world.clock.advance(60)
    with world.knobs(fail_next=[{"operation": follow_up(world), "status": 409, "times": None}]):
        await asked(world, first)
        await world.live(3 * world.timing.settle.total_seconds(), step=5)

    after = await world.get(first.id)
    generation = generation_of(after)
    assert (after.status, after.state, generation.hold.code) == (Status.COMPLETED, State.READY, "follow_up_refused")
    assert (generation.error.code, generation.error.message) == (None, None)


@both_versions
async def test_a_create_to_a_v0_that_has_moved_goes_on_afterwards(world: World) -> None:
    """A create is undecided, with where v0 points and the setting to change, and goes on by itself afterwards."""
    rule = {"status": 308, "headers": {"location": "https://api.v0.example/v2?key=secret"}, "operation": CREATES}
    with world.knobs(answer_next=[rule]):
        made = await world.make()
    generation = generation_of(made)
    assert (made.state, generation.error.code, world.chats_created) == (State.UNDECIDED, "moved", 0)
    assert "https://api.v0.example" in (generation.error.message or "")
    assert "V0_BASE_URL" in (generation.error.message or "")
    assert "secret" not in (generation.error.message or "")

    await world.live(world.timing.settle.total_seconds() + 60)

    assert (await world.get(made.id)).status is Status.COMPLETED
    assert (world.creates, world.chats_created) == (2, 1)


@on_sqlite
async def test_a_message_to_a_v0_that_has_moved_is_sent_once(world: World) -> None:
    """A follow-up waits the same way, and is sent once."""
    first = await world.complete()
    world.clock.advance(60)
    rule = {"status": 307, "headers": {"location": "https://api.v0.example/"}, "operation": follow_up(world)}
    with world.knobs(answer_next=[rule]):
        after = await asked(world, first)
    assert (after.state, generation_of(after).error.code) == (State.UNDECIDED, "moved")

    await world.live(world.timing.settle.total_seconds() + 60)

    assert said(world) == [WORDS]
