"""Follow-up, stop and delete: once only, in the same chat, and never an orphan."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conformance.world import ANN, EVE, World
from protokeep.core.errors import InvalidInput, KeyReused, NotFound, NotNow
from protokeep.core.prototype import Prototype, State, Status
from protokeep.core.reuse import Outcome
from protokeep.service import NewPrototype
from tracked import generation_of, tracked


class Crash(BaseException):
    """The process ends here."""


def said(world: World) -> list[str]:
    """What users said in all chats, in order."""
    return [one.content for chat in world.sandbox.chats.values() for one in chat.messages if one.role == "user"]


async def iterate(world: World, prototype: Prototype, message: str = "Make it blue", **more: Any) -> Prototype:
    """Ask for a follow-up and run its job once."""
    await world.keeper.iterate(ANN, prototype.id, message, wait=0, **more)
    await world.keeper.submit(prototype.id)
    return await world.get(prototype)


async def test_follow_up(anywhere: World) -> None:
    """
    A follow-up goes into the same chat; the prototype is in progress again and then completed again.
    """
    world = anywhere
    first = await world.done()
    assert first.status is Status.COMPLETED
    world.clock.advance(60)

    again = await iterate(world, first)

    assert again.status is Status.IN_PROGRESS
    assert again.chat_id == first.chat_id
    assert world.sandbox.chats_created == 1
    await world.pass_time(5)
    assert (await world.get(first)).status is Status.IN_PROGRESS
    await world.pass_time(60)
    assert (await world.get(first)).status is Status.COMPLETED
    assert said(world) == ["A shop", "Make it blue"]
    kinds = [row["kind"] for row in (await world.keeper.history(first))[0]]
    assert kinds[-5:] == ["asked", "sent", "continued", "status", "status"]


@pytest.mark.parametrize("point", ["after_sent", "after_call"])
async def test_crash_in_a_follow_up(anywhere: World, point: str) -> None:
    """
    A process that dies around the sending of a follow-up leaves it sent once, whatever it had got to.
    """
    world = anywhere
    first = await world.done()
    world.clock.advance(60)

    def crash(reached: str) -> None:
        if reached == point:
            raise Crash

    world.keeper.context.checkpoint = crash
    with pytest.raises(Crash):
        await iterate(world, first)
    world.keeper.context.checkpoint = lambda _: None
    for _ in range(12):
        world.clock.advance(20)
        await world.keeper.submit(first.id)

    assert said(world) == ["A shop", "Make it blue"]
    assert (await world.get(first)).status is Status.IN_PROGRESS
    await world.pass_time(100)
    assert (await world.get(first)).status is Status.COMPLETED


@pytest.mark.parametrize("acted", [True, False])
async def test_lost_answer(world: World, acted: bool) -> None:
    """
    When the answer is lost it is shown as undecided, the chat is read, and nothing is sent a second time
    unless it never arrived.
    """
    first = await world.done()
    world.clock.advance(60)
    rule = {"operation": "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync", "acts": acted}
    world.sandbox.set_knobs(drop_next=[rule])

    lost = await iterate(world, first)

    assert lost.state is State.UNDECIDED
    assert lost.status is Status.COMPLETED
    for _ in range(12):
        world.clock.advance(20)
        await world.keeper.submit(first.id)
    assert said(world) == ["A shop", "Make it blue"]
    assert (await world.get(first)).status is Status.IN_PROGRESS


async def test_what_cannot_be_decided_is_never_sent_again(world: World) -> None:
    """
    When the chat no longer shows what it ended with before, a lost follow-up stays undecided.
    """
    first = await world.done()
    world.clock.advance(60)
    operation = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
    world.sandbox.set_knobs(drop_next=[{"operation": operation, "acts": False}])
    await iterate(world, first)
    chat = world.sandbox.chats[first.chat_id or ""]
    chat.messages.clear()  # As if a person had taken everything back on v0's page.

    for _ in range(20):
        world.clock.advance(60)
        await world.keeper.submit(first.id)

    assert (await world.get(first)).state is State.UNDECIDED
    assert not said(world)


async def test_same_key_sends_once(anywhere: World) -> None:
    """
    A repeated request with the same idempotency key sends nothing; another message with it is a conflict.
    """
    world = anywhere
    first = await world.done()
    world.clock.advance(60)
    await iterate(world, first, idempotency_key="k-1")
    await iterate(world, first, idempotency_key="k-1")
    with pytest.raises(KeyReused):
        await world.keeper.iterate(ANN, first.id, "Make it red", idempotency_key="k-1", wait=0)

    assert said(world) == ["A shop", "Make it blue"]


async def test_many_at_once(anywhere: World) -> None:
    """
    Ten follow-ups at the same moment: one is taken, the others are told to wait.
    """
    world = anywhere
    first = await world.done()
    world.clock.advance(60)

    outcomes = await asyncio.gather(
        *(world.keeper.iterate(ANN, first.id, f"Colour {index}", wait=0) for index in range(10)),
        return_exceptions=True,
    )
    await world.keeper.submit(first.id)

    assert sum(isinstance(one, NotNow) for one in outcomes) == 9
    assert len(said(world)) == 2


async def test_refused_follow_up_changes_nothing(world: World) -> None:
    """
    A message that the builder refuses leaves the prototype as it was, and says why; the next one works.
    """
    first = await world.done()
    world.clock.advance(60)
    operation = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
    world.sandbox.set_knobs(fail_next=[{"operation": operation, "status": 422, "message": "too long"}])

    refused = await iterate(world, first)

    assert (refused.status, refused.state) == (Status.COMPLETED, State.READY)
    assert generation_of(refused).hold.code == "follow_up_refused"
    assert (await iterate(world, first)).status is Status.IN_PROGRESS


async def test_out_of_credits_parks_the_follow_up(world: World) -> None:
    """
    Without credits a follow-up waits, visibly, and goes on by itself.
    """
    first = await world.done()
    world.clock.advance(60)
    operation = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
    world.sandbox.set_knobs(fail_next=[{"operation": operation, "status": 402}])

    parked = await iterate(world, first)

    assert parked.state is State.PARKED
    world.clock.advance(200)
    await world.keeper.submit(first.id)
    assert (await world.get(first)).status is Status.IN_PROGRESS
    assert said(world) == ["A shop", "Make it blue"]


async def test_no_follow_up_yet(world: World) -> None:
    """
    While it is being made no message can be sent; a stranger does not even see it; an empty message is refused.
    """
    made = (await world.made()).prototype
    with pytest.raises(NotNow):
        await world.keeper.iterate(ANN, made.id, "Make it blue", wait=0)
    with pytest.raises(NotFound):
        await world.keeper.iterate(EVE, made.id, "Make it blue", wait=0)
    with pytest.raises(InvalidInput):
        await world.keeper.iterate(ANN, made.id, "  ", wait=0)


async def test_failed_follow_up(world: World) -> None:
    """
    A follow-up that fails makes the prototype failed, and another one mends it.
    """
    first = await world.done()
    world.clock.advance(60)
    world.sandbox.set_knobs(finish_reason="error")
    await iterate(world, first)
    await world.pass_time(70)
    assert (await world.get(first)).status is Status.FAILED
    world.sandbox.set_knobs(finish_reason="stop")
    await iterate(world, first, "Try again")
    await world.pass_time(70)
    assert (await world.get(first)).status is Status.COMPLETED


async def test_answered_on_the_chats_page(world: World) -> None:
    """
    When a person answers the builder's question on the chat's page, the end of it is noticed.
    """
    world.sandbox.set_knobs(finish_reason="tool-calls")
    made = (await world.made()).prototype
    await world.pass_time(45)
    if world.api_version == 2:  # A v1 version that waits for an answer is not told apart in lists.
        assert (await world.get(made)).state is State.WAITING
    chat = world.sandbox.chats[made.chat_id or ""]
    world.sandbox.world.resolve(chat, world.clock(), world.sandbox.knobs, "plan-exit-response", "answered-questions")
    await world.pass_time(60)
    await world.pass_time(60)
    assert (await world.get(made)).status in (Status.COMPLETED, Status.FAILED)


async def test_stop(anywhere: World) -> None:
    """
    What runs is stopped at the builder; stopping what has ended changes nothing; strangers stop nothing.
    """
    world = anywhere
    made = (await world.made()).prototype
    with pytest.raises(NotFound):
        await world.keeper.stop(EVE, made.id)

    stopped = await world.keeper.stop(ANN, made.id)

    assert (stopped.status, generation_of(stopped).error.code) == (Status.FAILED, "stopped")
    assert world.sandbox.chats[made.chat_id or ""].status(world.clock()) == "stopped"
    finished = await world.done("p-2")
    assert (await world.keeper.stop(ANN, finished.id)).status is Status.COMPLETED


async def test_stopped_one_goes_on(world: World) -> None:
    """
    A follow-up goes on from where it was stopped.
    """
    made = (await world.made()).prototype
    await world.keeper.stop(ANN, made.id)
    world.clock.advance(5)
    assert (await iterate(world, made)).status is Status.IN_PROGRESS
    await world.pass_time(70)
    assert (await world.get(made)).status is Status.COMPLETED


async def test_delete(anywhere: World) -> None:
    """
    Deleting deletes the chat at the builder too, frees the slot, and may be repeated; strangers delete nothing.
    """
    world = anywhere
    first = await world.done()
    with pytest.raises(NotFound):
        await world.keeper.delete(EVE, first.id)

    assert await world.keeper.delete(ANN, first.id) is None
    assert await world.keeper.delete(ANN, first.id) is None

    assert world.sandbox.chats[first.chat_id or ""].deleted
    with pytest.raises(NotFound):
        await world.keeper.get(ANN, first.id)
    with pytest.raises(NotFound):
        await world.keeper.delete(EVE, first.id)
    again = await world.made()
    assert again.decision.outcome is Outcome.CREATED
    assert world.sandbox.chats_created == 2


async def test_failed_delete_stays_visible(anywhere: World) -> None:
    """
    When the builder does not delete, the prototype stays in sight as being deleted, blocks no new one, and is
    tried again until it is gone.
    """
    world = anywhere
    first = await world.done()
    world.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": 500, "times": 2}])

    left = await world.keeper.delete(ANN, first.id)

    assert left is not None
    assert left.state is State.DELETING
    assert "500" in (generation_of(left).hold.message or "")
    second = await world.keeper.ensure(ANN, NewPrototype("p-1", "A shop"), wait=0)
    assert second.prototype.id != first.id
    assert not world.sandbox.chats[first.chat_id or ""].deleted
    for _ in range(3):
        world.clock.advance(60)
        await world.keeper.finalize()
    assert world.sandbox.chats[first.chat_id or ""].deleted
    with pytest.raises(NotFound):
        await world.keeper.get(ANN, first.id)


async def test_delete_before_anything_was_sent(world: World) -> None:
    """
    A claim that is deleted is never sent.
    """
    claimed = await world.keeper.ensure(ANN, NewPrototype("p-1", "A shop"), wait=0)

    assert await world.keeper.delete(ANN, claimed.prototype.id) is None
    await world.keeper.submit(claimed.prototype.id)

    assert world.sandbox.chats_created == 0


@pytest.mark.parametrize("acted", [True, False])
async def test_delete_of_an_unknown_outcome(world: World, acted: bool) -> None:
    """
    When it is not known whether the builder made it, it is looked up first: no chat stays behind, none is made.
    """
    creates = "chats.create" if world.api_version == 1 else "chats.createAsync"
    world.sandbox.set_knobs(drop_next=[{"operation": creates, "acts": acted}])
    claimed = (await world.keeper.ensure(ANN, NewPrototype("p-1", "A shop"), wait=0)).prototype
    await world.keeper.submit(claimed.id)
    left = await world.keeper.delete(ANN, claimed.id)
    assert left is not None
    assert left.state is State.DELETING

    for _ in range(12):
        world.clock.advance(30)
        await world.keeper.submit(claimed.id)
        await world.keeper.finalize()

    assert all(chat.deleted for chat in world.sandbox.chats.values())
    assert (1 if acted else 0) == world.sandbox.chats_created
    with pytest.raises(NotFound):
        await world.keeper.get(ANN, claimed.id)


async def test_delete_takes_surplus_chats_along(world: World) -> None:
    """
    A second chat with the prototype's marker is deleted with it.
    """
    first = await world.done()
    extra = await world.provider().create("A shop", {"protokeep_marker": first.id})
    await world.keeper.context.store.note_surplus(tracked(first), extra.chat_id, world.clock())

    assert await world.keeper.delete(ANN, first.id) is None

    assert all(chat.deleted for chat in world.sandbox.chats.values())


async def test_delete_of_a_young_chat_that_reads_as_missing(world: World) -> None:
    """
    A young chat that the builder says it does not have may be one that it does not show yet: it is asked again.
    """
    first = await world.keeper.ensure(ANN, NewPrototype("p-1", "A shop"), wait=0)
    await world.keeper.submit(first.prototype.id)
    world.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": 404}])

    left = await world.keeper.delete(ANN, first.prototype.id)

    assert left is not None
    assert (left.state, generation_of(left).hold.code) == (State.DELETING, "not_visible")
    world.clock.advance(60)
    await world.keeper.finalize()
    assert all(chat.deleted for chat in world.sandbox.chats.values())
    with pytest.raises(NotFound):
        await world.keeper.get(ANN, first.prototype.id)
