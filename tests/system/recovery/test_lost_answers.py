"""The builder acts and its answer is lost; lists lag; look-ups fail; two chats carry one marker."""

from __future__ import annotations

import pytest

from protokeep.core.prototype import State, Status
from world import World, both_versions, jobs_of, on_sqlite, until


@both_versions
@pytest.mark.parametrize("delay", [0, 5, 60])
async def test_a_lost_answer_is_found_however_late_lists_are(world: World, delay: int) -> None:
    """A chat that shows up in lists within a minute is adopted, and none is made beside it."""
    world.sandbox.set_knobs(list_delay_seconds=delay, drop_next_answers=1)
    made = await world.make()
    assert made.state is State.UNDECIDED
    assert world.chats_created == 1

    await world.live(delay + 15)

    assert (await world.get(made.id)).status is Status.COMPLETED
    assert world.creates == 1
    assert await world.orphans() == set()


@both_versions
async def test_a_lost_answer_without_lag_is_found_within_seconds(world: World) -> None:
    """The first look-up comes at once: nobody waits for the settle time when the chat is there."""
    with world.knobs(drop_next_answers=1):
        made = await world.make()
    await world.live(3)
    assert (await world.get(made.id)).chat_id == world.chat.id


@both_versions
async def test_a_create_that_never_happened_is_sent_again_once(world: World) -> None:
    """An error without an effect looks the same; after the settle time and two look-ups it is sent once more."""
    world.sandbox.set_knobs(fail_next=[{"operation": "chats.create*", "status": 500, "times": 1}])
    made = await world.make()
    assert (made.state, world.chats_created) == (State.UNDECIDED, 0)

    await world.live(world.timing.settle.total_seconds() - 1)
    assert world.creates == 1

    await world.live(40)
    assert (await world.get(made.id)).status is Status.COMPLETED
    assert (world.creates, world.chats_created) == (2, 1)


@both_versions
async def test_a_failing_look_up_decides_nothing(world: World) -> None:
    """While look-ups fail nothing is sent, however long that takes; the row says that it is undecided."""
    world.sandbox.set_knobs(
        drop_next_answers=1,
        fail_next=[
            {"operation": operation, "status": 503, "times": None} for operation in ("chats.list", "chats.find")
        ],
    )
    made = await world.make()
    await world.live(1000, step=20)
    assert (await world.get(made.id)).state is State.UNDECIDED
    assert world.creates == 1

    world.sandbox.set_knobs(fail_next=[])
    await world.live(100)
    assert (await world.get(made.id)).status is Status.COMPLETED
    assert world.creates == 1


@both_versions
async def test_a_second_chat_with_our_marker_is_a_surplus(world: World) -> None:
    """Should the builder act twice, one chat is the prototype and the other is listed as surplus, not hidden."""
    with world.knobs(drop_next_answers=1):
        made = await world.make()
    provider = world.keeper.context.providers.for_new()[0][1]
    await provider.create("the same, sent by a proxy that retries", dict(world.chat.metadata))
    assert world.chats_created == 2

    await world.live(30)

    prototype = await world.get(made.id)
    history, surplus = await world.keeper.history(prototype)
    assert prototype.status is Status.COMPLETED
    assert {prototype.chat_id, *surplus} == set(world.sandbox.chats)
    assert "surplus" in [row["kind"] for row in history]
    assert await world.orphans() == set()


@both_versions
async def test_lost_answers_of_many_are_told_apart(world: World) -> None:
    """Twenty answers lost at once: each product gets its own chat back."""
    world.sandbox.set_knobs(drop_next_answers=20, list_delay_seconds=10)
    made = [await world.make(f"p-{number}", f"A page about {number}") for number in range(20)]
    await world.live(400, step=5)
    for number, prototype in enumerate(made):
        chat = world.sandbox.chats[(await world.get(prototype.id)).chat_id or ""]
        assert chat.metadata["protokeep_product"] == f"p-{number}"
    assert world.chats_created == 20


@on_sqlite
async def test_a_lost_answer_does_not_wait_behind_a_flood(world: World) -> None:
    """What was sent is looked up before anything new is sent, whatever is older."""
    for number in range(20):
        await world.ensure(f"p-{number}")
    world.first.queue.submits.clear()
    with world.knobs(drop_next_answers=1):
        made = await world.make("lost")
    world.clock.advance(3)

    await world.keeper.sweep()

    assert world.first.queue.submits[0] == made.id
    assert len(world.first.queue.submits) == 21


async def test_the_queue_lets_sent_creates_go_first(world: World) -> None:
    """Jobs that were asked for as the first ones run before older ones, on both databases."""
    ran: list[str] = []

    async def submit(mockup_id: str) -> None:
        ran.append(mockup_id)

    jobs, queue = jobs_of(world.keeper, world.database_url)
    world.keeper.submit = submit  # type: ignore[method-assign]
    async with queue.open():
        for number in range(120):
            await queue.submit(f"new-{number}", 0)
        await queue.submit("sent", 1, first=True)
    async with jobs.running():
        await until(lambda: len(ran) == 121, seconds=20)

    assert "sent" in ran[:10]
