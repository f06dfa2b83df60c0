"""Follow-up, stop and delete: once only, in the same chat, and never an orphan."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protokeep.core.errors import InvalidInput, KeyReused, NotFound, NotNow
from protokeep.core.prototype import Prototype, State, Status
from protokeep.core.reuse import Outcome
from protokeep.service import NewPrototype
from tracked import generation_of, tracked
from world import ANN, EVE, PROMPT, Crash, World, both_versions, every_version_and_database

pytestmark = pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=10.0)


def said(world: World) -> list[str]:
    """What users said in all chats, in order."""
    return [one.content for chat in world.sandbox.chats.values() for one in chat.messages if one.role == "user"]


async def iterate(world: World, prototype: Prototype, message: str = "Make it blue", **more: Any) -> Prototype:
    """Ask for a follow-up and run its job once."""
    await world.keeper.iterate(ANN, prototype.id, message, wait=0, **more)
    await world.keeper.submit(prototype.id)
    return await world.get(prototype.id)


@every_version_and_database
async def test_a_follow_up_goes_into_the_same_chat_and_completes_again(world: World) -> None:
    """
    A follow-up goes into the same chat; the prototype is in progress again and then completed again.
    """
    first = await world.finish()
    assert first.status is Status.COMPLETED
    world.clock.advance(60)

    again = await iterate(world, first)

    assert again.status is Status.IN_PROGRESS
    assert again.chat_id == first.chat_id
    assert world.sandbox.chats_created == 1
    await world.pass_time(5)
    assert (await world.get(first.id)).status is Status.IN_PROGRESS
    await world.pass_time(60)
    assert (await world.get(first.id)).status is Status.COMPLETED
    assert said(world) == [PROMPT, "Make it blue"]
    kinds = [row["kind"] for row in (await world.keeper.history(first))[0]]
    assert kinds[-5:] == ["asked", "sent", "continued", "status", "status"]


@pytest.mark.parametrize("point", ["after_sent", "after_call"])
@every_version_and_database
async def test_a_crash_around_a_follow_up_leaves_it_sent_once(world: World, point: str) -> None:
    """
    A process that dies around the sending of a follow-up leaves it sent once, whatever it had got to.
    """
    first = await world.finish()
    world.clock.advance(60)

    world.first.crash_at(point)
    with pytest.raises(Crash):
        await iterate(world, first)
    world.first.crash_at(None)
    for _ in range(12):
        world.clock.advance(20)
        await world.keeper.submit(first.id)

    assert said(world) == [PROMPT, "Make it blue"]
    assert (await world.get(first.id)).status is Status.IN_PROGRESS
    await world.pass_time(100)
    assert (await world.get(first.id)).status is Status.COMPLETED


@pytest.mark.parametrize("acted", [True, False])
@both_versions
async def test_a_follow_up_whose_answer_was_lost_is_sent_once(world: World, acted: bool) -> None:
    """
    When the answer is lost it is shown as undecided, the chat is read, and nothing is sent a second time
    unless it never arrived.
    """
    first = await world.finish()
    world.clock.advance(60)
    rule = {"operation": "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync", "acts": acted}
    world.sandbox.set_knobs(drop_next=[rule])

    lost = await iterate(world, first)

    assert lost.state is State.UNDECIDED
    assert lost.status is Status.COMPLETED
    for _ in range(12):
        world.clock.advance(20)
        await world.keeper.submit(first.id)
    assert said(world) == [PROMPT, "Make it blue"]
    assert (await world.get(first.id)).status is Status.IN_PROGRESS


@both_versions
async def test_an_undecidable_follow_up_is_never_sent_again(world: World) -> None:
    """
    When the chat no longer shows what it ended with before, a lost follow-up stays undecided.
    """
    first = await world.finish()
    world.clock.advance(60)
    operation = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
    world.sandbox.set_knobs(drop_next=[{"operation": operation, "acts": False}])
    await iterate(world, first)
    chat = world.sandbox.chats[first.chat_id or ""]
    chat.messages.clear()  # As if a person had taken everything back on v0's page.

    for _ in range(20):
        world.clock.advance(60)
        await world.keeper.submit(first.id)

    assert (await world.get(first.id)).state is State.UNDECIDED
    assert not said(world)


@every_version_and_database
async def test_a_repeated_key_sends_one_message(world: World) -> None:
    """
    A repeated request with the same idempotency key sends nothing; another message with it is a conflict.
    """
    first = await world.finish()
    world.clock.advance(60)
    await iterate(world, first, idempotency_key="k-1")
    await iterate(world, first, idempotency_key="k-1")
    with pytest.raises(KeyReused):
        await world.keeper.iterate(ANN, first.id, "Make it red", idempotency_key="k-1", wait=0)

    assert said(world) == [PROMPT, "Make it blue"]


@every_version_and_database
async def test_ten_follow_ups_at_once_are_one_and_nine_refusals(world: World) -> None:
    """
    Ten follow-ups at the same moment: one is taken, the others are told to wait.
    """
    first = await world.finish()
    world.clock.advance(60)

    outcomes = await asyncio.gather(
        *(world.keeper.iterate(ANN, first.id, f"Colour {index}", wait=0) for index in range(10)),
        return_exceptions=True,
    )
    await world.keeper.submit(first.id)

    assert sum(isinstance(one, NotNow) for one in outcomes) == 9
    assert len(said(world)) == 2


@both_versions
async def test_a_refused_follow_up_changes_nothing_and_the_next_works(world: World) -> None:
    """
    A message that the builder refuses leaves the prototype as it was, and says why; the next one works.
    """
    first = await world.finish()
    world.clock.advance(60)
    operation = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
    world.sandbox.set_knobs(fail_next=[{"operation": operation, "status": 422, "message": "too long"}])

    refused = await iterate(world, first)

    assert (refused.status, refused.state) == (Status.COMPLETED, State.READY)
    assert generation_of(refused).hold.code == "follow_up_refused"
    assert (await iterate(world, first)).status is Status.IN_PROGRESS


@both_versions
async def test_a_follow_up_without_credits_is_parked_and_goes_on(world: World) -> None:
    """
    Without credits a follow-up waits, visibly, and goes on by itself.
    """
    first = await world.finish()
    world.clock.advance(60)
    operation = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
    world.sandbox.set_knobs(fail_next=[{"operation": operation, "status": 402}])

    parked = await iterate(world, first)

    assert parked.state is State.PARKED
    world.clock.advance(200)
    await world.keeper.submit(first.id)
    assert (await world.get(first.id)).status is Status.IN_PROGRESS
    assert said(world) == [PROMPT, "Make it blue"]


@both_versions
async def test_no_follow_up_is_taken_while_it_is_being_made(world: World) -> None:
    """
    While it is being made no message can be sent; a stranger does not even see it; an empty message is refused.
    """
    made = await world.make()
    with pytest.raises(NotNow):
        await world.keeper.iterate(ANN, made.id, "Make it blue", wait=0)
    with pytest.raises(NotFound):
        await world.keeper.iterate(EVE, made.id, "Make it blue", wait=0)
    with pytest.raises(InvalidInput):
        await world.keeper.iterate(ANN, made.id, "  ", wait=0)


@both_versions
async def test_a_failed_follow_up_is_mended_by_another_one(world: World) -> None:
    """
    A follow-up that fails makes the prototype failed, and another one mends it.
    """
    first = await world.finish()
    world.clock.advance(60)
    world.sandbox.set_knobs(finish_reason="error")
    await iterate(world, first)
    await world.pass_time(70)
    assert (await world.get(first.id)).status is Status.FAILED
    world.sandbox.set_knobs(finish_reason="stop")
    await iterate(world, first, "Try again")
    await world.pass_time(70)
    assert (await world.get(first.id)).status is Status.COMPLETED


@both_versions
async def test_an_answer_on_the_chats_page_is_noticed(world: World) -> None:
    """
    When a person answers the builder's question on the chat's page, the end of it is noticed.
    """
    world.sandbox.set_knobs(finish_reason="tool-calls")
    made = await world.make()
    await world.pass_time(45)
    if world.api_version == 2:  # A v1 version that waits for an answer is not told apart in lists.
        assert (await world.get(made.id)).state is State.WAITING
    chat = world.sandbox.chats[made.chat_id or ""]
    world.sandbox.backend.resolve(chat, world.clock(), world.sandbox.knobs, "plan-exit-response", "answered-questions")
    await world.pass_time(60)
    await world.pass_time(60)
    assert (await world.get(made.id)).status in (Status.COMPLETED, Status.FAILED)


@every_version_and_database
async def test_a_running_prototype_is_stopped_at_the_builder(world: World) -> None:
    """
    What runs is stopped at the builder; stopping what has ended changes nothing; strangers stop nothing.
    """
    made = await world.make()
    with pytest.raises(NotFound):
        await world.keeper.stop(EVE, made.id)

    stopped = await world.keeper.stop(ANN, made.id)

    assert (stopped.status, generation_of(stopped).error.code) == (Status.FAILED, "stopped")
    assert world.sandbox.chats[made.chat_id or ""].status(world.clock()) == "stopped"
    finished = await world.finish("p-2")
    assert (await world.keeper.stop(ANN, finished.id)).status is Status.COMPLETED


@both_versions
async def test_a_stopped_prototype_goes_on_with_a_follow_up(world: World) -> None:
    """
    A follow-up goes on from where it was stopped.
    """
    made = await world.make()
    await world.keeper.stop(ANN, made.id)
    world.clock.advance(5)
    assert (await iterate(world, made)).status is Status.IN_PROGRESS
    await world.pass_time(70)
    assert (await world.get(made.id)).status is Status.COMPLETED


@every_version_and_database
async def test_deleting_deletes_the_chat_frees_the_slot_and_may_be_repeated(world: World) -> None:
    """
    Deleting deletes the chat at the builder too, frees the slot, and may be repeated; strangers delete nothing.
    """
    first = await world.finish()
    with pytest.raises(NotFound):
        await world.keeper.delete(EVE, first.id)

    assert await world.keeper.delete(ANN, first.id) is None
    assert await world.keeper.delete(ANN, first.id) is None

    assert world.sandbox.chats[first.chat_id or ""].deleted
    with pytest.raises(NotFound):
        await world.keeper.get(ANN, first.id)
    with pytest.raises(NotFound):
        await world.keeper.delete(EVE, first.id)
    again = await world.ensure()
    assert again.decision.outcome is Outcome.CREATED
    await world.work()
    assert world.sandbox.chats_created == 2


@every_version_and_database
async def test_a_failed_deletion_stays_visible_and_is_tried_again(world: World) -> None:
    """
    When the builder does not delete, the prototype stays in sight as being deleted, blocks no new one, and is
    tried again until it is gone.
    """
    first = await world.finish()
    world.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": 500, "times": 2}])

    left = await world.keeper.delete(ANN, first.id)

    assert left is not None
    assert left.state is State.DELETING
    assert "500" in (generation_of(left).hold.message or "")
    second = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
    assert second.prototype.id != first.id
    assert not world.sandbox.chats[first.chat_id or ""].deleted
    for _ in range(3):
        world.clock.advance(60)
        await world.keeper.finalize()
    assert world.sandbox.chats[first.chat_id or ""].deleted
    with pytest.raises(NotFound):
        await world.keeper.get(ANN, first.id)


@both_versions
async def test_a_claim_that_is_deleted_is_never_sent(world: World) -> None:
    """
    A claim that is deleted is never sent.
    """
    claimed = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)

    assert await world.keeper.delete(ANN, claimed.prototype.id) is None
    await world.keeper.submit(claimed.prototype.id)

    assert world.sandbox.chats_created == 0


@pytest.mark.parametrize("acted", [True, False])
@both_versions
async def test_deleting_an_undecided_create_leaves_no_chat(world: World, acted: bool) -> None:
    """
    When it is not known whether the builder made it, it is looked up first: no chat stays behind, none is made.
    """
    creates = "chats.create" if world.api_version == 1 else "chats.createAsync"
    world.sandbox.set_knobs(drop_next=[{"operation": creates, "acts": acted}])
    claimed = (await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)).prototype
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


@both_versions
async def test_deleting_takes_surplus_chats_along(world: World) -> None:
    """
    A second chat with the prototype's marker is deleted with it.
    """
    first = await world.finish()
    extra = await world.provider().create(PROMPT, {"protokeep_marker": first.id})
    await world.keeper.context.store.note_surplus(tracked(first), extra.chat_id, world.clock())

    assert await world.keeper.delete(ANN, first.id) is None

    assert all(chat.deleted for chat in world.sandbox.chats.values())


@both_versions
async def test_deleting_a_young_chat_that_reads_as_missing_is_tried_again(world: World) -> None:
    """
    A young chat that the builder says it does not have may be one that it does not show yet: it is asked again.
    """
    first = await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
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
