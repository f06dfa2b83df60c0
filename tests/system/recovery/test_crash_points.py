"""Every point at which a process may die on the way to a prototype, and how the ordinary path goes on from there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import State, Status
from protokeep.sandbox import Chat
from protokeep.service import NewPrototype
from protokeep.store.orphans import OrphanChat
from protokeep.store.sql import Connection
from protokeep.wiring import ENVIRONMENT_ACCOUNT
from tracked import generation_of
from world import ANN, PROMPT, Crash, Node, World, both_versions

#: In the order in which a create gets there. `during` the call is reached by the builder's hands, further below.
POINTS = [
    "before_claim",
    "after_claim",
    "before_take",
    "before_sent",
    "after_sent",
    "after_call",
    "after_record",
    "after_poll",
    "after_pass",
    "in_sweep",
]
#: Those that one may get to which holds what it claims; it takes nothing.
HELD = {"before_claim", "after_claim", "before_sent", "after_sent", "after_call", "after_record"}


async def _live_until_crash(node: Node, world: World) -> None:
    """All that a process does for one prototype; it dies at the point it was told."""
    await node.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
    await node.work()
    world.clock.advance(3)
    await node.sweep()


@both_versions
@pytest.mark.parametrize(
    ("point", "holds"), [*((point, False) for point in POINTS), *((point, True) for point in POINTS if point in HELD)]
)
async def test_another_process_finishes_what_a_dead_one_began(world: World, point: str, holds: bool) -> None:
    """Wherever a process dies, another one brings the product its prototype, and v0 made exactly one."""
    victim = await world.node(holds_claims=holds)
    victim.crash_at(point)
    with pytest.raises(Crash):
        await _live_until_crash(victim, world)

    if point == "before_claim":  # Nobody knows yet that anything was wanted: the person clicks again.
        await world.ensure()
    await world.live(200)

    (prototype,) = await world.listed()
    assert prototype.status is Status.COMPLETED
    assert world.chats_created == 1
    assert await world.orphans() == set()


@both_versions
async def test_a_chat_made_by_a_process_that_died_in_the_call_is_adopted(world: World) -> None:
    """A process that dies while the builder acts leaves a chat that the next one finds and adopts."""
    victim = await world.node(timeout_seconds=0.3)
    ensured = await victim.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
    victim.context.checkpoint = lambda point: None
    with world.knobs(hold_creates="after"):  # v0 acts, and its answer never comes.
        save = victim.store.save

        async def dies(*_: object) -> None:
            raise Crash("during the call")

        # The process is gone when the call ends: whatever it would write then is not written.
        victim.context.checkpoint = lambda point: setattr(victim.store, "save", dies) if point == "after_sent" else None
        with pytest.raises(Crash):
            await victim.work()
        victim.store.save = save  # type: ignore[method-assign]
    assert world.chats_created == 1
    assert (await world.get(ensured.prototype.id)).chat_id is None

    await world.live(30)

    adopted = await world.get(ensured.prototype.id)
    assert adopted.chat_id == world.chat.id
    assert adopted.status is Status.COMPLETED
    assert world.chats_created == 1
    assert world.creates == 1


@both_versions
async def test_a_create_that_never_arrived_is_resent_after_the_settle_time(world: World) -> None:
    """After `sent` nothing may be sent again before every list would show the chat; then exactly once."""
    victim = await world.node()
    victim.crash_at("after_sent")
    with pytest.raises(Crash):
        await _live_until_crash(victim, world)
    assert world.creates == 0

    await world.live(80)
    (prototype,) = await world.listed()
    assert prototype.state is State.UNDECIDED
    assert world.creates == 0

    await world.live(60)
    (prototype,) = await world.listed()
    assert prototype.status is Status.COMPLETED
    assert world.creates == 1


async def test_a_lease_of_a_dead_process_is_respected(world: World) -> None:
    """Until its lease has run out nobody touches a row whose holder may only be slow."""
    victim = await world.node()
    victim.crash_at("after_call")
    with pytest.raises(Crash):
        await _live_until_crash(victim, world)

    assert await world.sweep() == 0
    world.clock.advance(world.timing.lease.total_seconds() - 0.1)
    assert await world.sweep() == 0

    world.clock.advance(0.2)
    await world.sweep()
    assert (await world.listed())[0].chat_id == world.chat.id


@both_versions
async def test_a_lone_process_adopts_before_it_sends_after_a_restart(world: World) -> None:
    """
    A process that comes up alone takes back what nobody wrote down, while all those rows are taken up: none is sent.
    """
    victim = await world.node()
    victim.crash_at("after_call")
    made = [await victim.keeper.ensure(ANN, NewPrototype(f"p-{number}", PROMPT), wait=0) for number in range(12)]
    for one in made:
        with pytest.raises(Crash):
            await victim.keeper.submit(one.prototype.id)
    assert world.creates == 12
    world.clock.advance(world.timing.lease.total_seconds() + 1)

    heir = await world.node(single_process=True)
    await asyncio.gather(*(heir.keeper.submit(one.prototype.id) for one in made))
    await world.live(200)

    assert world.creates == 12
    rows = await world.rows("SELECT project_status, v0_chat_id FROM design_mockups")
    assert {row["project_status"] for row in rows} == {"completed"}
    assert {row["v0_chat_id"] for row in rows} == set(world.sandbox.chats)


async def test_a_taken_row_is_held_as_it_was_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever takes a row up holds what was taken, also when its chat is written down right after.
    """
    victim, other = await world.node(), await world.node()
    victim.crash_at("after_call")
    with pytest.raises(Crash):
        await _live_until_crash(victim, world)
    (row,) = await world.rows("SELECT id FROM design_mockups")
    world.clock.advance(world.timing.lease.total_seconds() + 1)
    begun = world.store.database.transaction

    @contextlib.asynccontextmanager
    async def overtaken() -> AsyncIterator[Connection]:
        async with begun() as connection:
            yield connection
        await other.store.adopt_orphan(_stray(world, world.chat), world.timing.poll_timeout)

    monkeypatch.setattr(world.store.database, "transaction", overtaken)

    taken = await world.store.take_for_submit(str(row["id"]), world.clock(), world.timing.lease)

    assert taken is not None
    assert (taken.chat_id, generation_of(taken).submission.recovery_point) == (None, RecoveryPoint.SENT)
    (left,) = await world.rows("SELECT v0_chat_id FROM design_mockups")
    assert left["v0_chat_id"] == world.chat.id


@both_versions
async def test_a_slow_process_that_comes_back_does_no_harm(world: World) -> None:
    """
    A holder that was only slow writes its answer after another one adopted the chat: same chat, nothing surplus.
    """
    slow = await world.node()
    took_over = False

    async def take_over() -> None:
        world.clock.advance(world.timing.lease.total_seconds() + 1)
        await world.sweep()

    await slow.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
    record = slow.keeper._delivery.record

    async def late(*arguments: object) -> None:
        nonlocal took_over
        took_over = True
        await take_over()
        await record(*arguments)  # type: ignore[arg-type]

    slow.keeper._delivery.record = late  # type: ignore[assignment, method-assign]
    await slow.work()

    assert took_over
    (prototype,) = await world.listed()
    assert prototype.chat_id == world.chat.id
    _, surplus = await world.keeper.history(prototype)
    assert list(surplus) == []
    assert world.chats_created == 1


async def test_a_tracker_that_dies_is_replaced(world: World) -> None:
    """At most one process tracks an account; when it dies the next sweep after its lease goes on."""
    victim = await world.node()
    await victim.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
    await victim.work()
    victim.crash_at("after_poll")
    world.clock.advance(3)
    with pytest.raises(Crash):
        await victim.sweep()
    looks = world.calls("messages.get")

    assert await world.sweep() == 0, "somebody else's lease is respected"
    assert world.calls("messages.get") == looks

    world.clock.advance(world.timing.lease.total_seconds())
    await world.sweep()
    assert world.calls("messages.get") == looks + 1


async def test_every_crash_point_is_reached(world: World) -> None:
    """The names above are those of the code: a point that nobody passes would test nothing."""
    reached: set[str] = set()
    node = await world.node()
    node.context.checkpoint = reached.add
    with contextlib.suppress(Crash):
        await _live_until_crash(node, world)
    assert reached == set(POINTS)


def _stray(world: World, chat: Chat) -> OrphanChat:
    """A chat as somebody finds it who looks for all that are ours."""
    marks, now = chat.metadata, world.clock()
    return OrphanChat(
        chat_id=chat.id,
        marker=marks["protokeep_marker"],
        workspace_id=marks["protokeep_workspace"],
        product_id=marks["protokeep_product"],
        user_id=marks["protokeep_user"],
        provider="v0",
        account=ENVIRONMENT_ACCOUNT,
        api_version=world.api_version,
        prompt=PROMPT,
        made_at=now,
        now=now,
    )
