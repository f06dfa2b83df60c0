"""Two processes that meet inside one step: one that was overtaken does nothing, one that lives is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from owner_schemas import run
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, State
from protokeep.providers.base import PollResult, PollTarget, Provider
from protokeep.service.chat_metadata import chat_metadata
from tracked import generation_of, tracked
from world import ANN, Clock, Node, World, both_versions, until

ACCOUNT = "v0:environment"


async def held_by(node: Node, mockup_id: str, now: datetime) -> Prototype:
    """The row as `node` has taken it, at `now` by its own clock."""
    taken = await node.store.take_for_submit(mockup_id, now, node.context.timing.lease)
    assert taken is not None
    return taken


async def overtaken(world: World, mockup_id: str) -> tuple[Prototype, Node, Prototype]:
    """(the row as the first process took it, a second process whose lease began later, the row as it has it)."""
    mine = await held_by(world.first, mockup_id, world.clock.now)
    later = Clock(world.clock.now + 2 * world.timing.lease)
    other = await world.node(clock=later)
    return mine, other, await held_by(other, mockup_id, later.now)


def said(world: World) -> list[str]:
    """What users said at v0 in all chats, in order."""
    return [one.content for chat in world.sandbox.chats.values() for one in chat.messages if one.role == "user"]


def provider_of(node: Node) -> Provider:
    """What a process calls v0 with."""
    return node.context.providers.for_new()[0][1]


def meanwhile(provider: Provider, call: str, happens: Callable[[], Awaitable[object]]) -> None:
    """Let something happen between v0's answer to a call and its arrival, once."""
    plain = getattr(provider, call)

    async def late(*given: Any, **more: Any) -> Any:
        setattr(provider, call, plain)
        answer = await plain(*given, **more)
        await happens()
        return answer

    setattr(provider, call, late)


def held_up(provider: Provider) -> tuple[asyncio.Event, asyncio.Event]:
    """(set when looks at v0 have begun, to be set so that they go on)."""
    began, ends = asyncio.Event(), asyncio.Event()
    plain = provider.observe

    async def observe(targets: Sequence[PollTarget], **more: Any) -> PollResult:
        began.set()
        await ends.wait()
        return await plain(targets, **more)

    provider.observe = observe  # type: ignore[method-assign]
    return began, ends


class TestOvertakenCreate:
    async def test_a_worker_overtaken_before_sent_sends_nothing(self, world: World) -> None:
        """
        A worker that was overtaken before it wrote `sent` sends nothing when it wakes.
        """
        ensured = await world.ensure()
        mine, other, theirs = await overtaken(world, ensured.prototype.id)

        await world.keeper.submit_held(tracked(mine))

        assert world.creates == 0
        await other.keeper.submit_held(tracked(theirs))
        assert (await world.get(theirs.id)).chat_id == world.chat.id
        assert (world.chats_created, world.creates) == (1, 1)

    async def test_a_worker_that_wakes_after_the_other_sent_sends_nothing(self, world: World) -> None:
        """
        One that wakes when the other has already sent sends nothing either.
        """
        ensured = await world.ensure()
        mine, other, theirs = await overtaken(world, ensured.prototype.id)
        await other.keeper.submit_held(tracked(theirs))

        await world.keeper.submit_held(tracked(mine))

        assert (world.chats_created, world.creates, await world.orphans()) == (1, 1, set())

    async def test_an_overtaken_worker_cannot_renew_its_lease(self, world: World) -> None:
        """
        It keeps no hold: its renewal touches nothing, that of the one that overtook it does.
        """
        ensured = await world.ensure()
        mine, other, theirs = await overtaken(world, ensured.prototype.id)
        far = world.clock.now + timedelta(hours=1)

        assert not await world.store.renew_lease(tracked(mine), far)
        assert (
            generation_of(await world.get(mine.id)).submission.lease_until
            == generation_of(theirs).submission.lease_until
        )
        assert await other.store.renew_lease(tracked(theirs), far)
        assert generation_of(await world.get(mine.id)).submission.lease_until == far

    async def test_every_taking_moves_fence_and_version(self, world: World) -> None:
        """
        Every time a row is taken its fence and its version move on.
        """
        ensured = await world.ensure()
        before = generation_of(ensured.prototype)
        mine, _, theirs = await overtaken(world, ensured.prototype.id)

        fences = [before.submission.fence, generation_of(mine).submission.fence, generation_of(theirs).submission.fence]
        versions = [before.version, generation_of(mine).version, generation_of(theirs).version]
        assert fences == sorted(set(fences))
        assert versions == sorted(set(versions))

    async def test_an_accepted_row_is_neither_taken_nor_held(self, world: World) -> None:
        """
        A row that the builder has accepted is neither taken nor held any longer.
        """
        ensured = await world.ensure()
        mine = await held_by(world.first, ensured.prototype.id, world.clock.now)
        await world.keeper.submit_held(tracked(mine))
        made = await world.get(mine.id)
        assert generation_of(made).submission.recovery_point is RecoveryPoint.ACCEPTED

        assert not await world.store.renew_lease(tracked(mine), world.clock.now + timedelta(hours=1))
        world.clock.advance(3600)
        assert await world.store.take_for_submit(mine.id, world.clock.now, world.timing.lease) is None
        assert await world.get(mine.id) == made


class TestTheRowMoves:
    @both_versions
    async def test_the_ids_of_a_create_are_written_though_the_row_moved(self, world: World) -> None:
        """
        The ids that v0 gives are written whoever else moved the row: here by asking for its deletion.
        """
        ensured = await world.ensure()
        meanwhile(provider_of(world.first), "create", lambda: world.keeper.delete(ANN, ensured.prototype.id))

        await world.work()

        known = await world.get(ensured.prototype.id)
        assert (known.chat_id, known.state) == (world.chat.id, State.DELETING)
        world.clock.advance(120)
        await world.keeper.finalize()
        assert world.chat.deleted
        assert (await world.rows("SELECT id FROM design_mockups"), await world.orphans()) == ([], set())

    async def test_a_late_answer_to_a_row_that_has_a_chat_is_a_surplus(self, world: World) -> None:
        """
        An answer that comes when the row has another chat takes nothing away: its chat is noted as a surplus.
        """
        ensured = await world.ensure()

        async def found() -> None:
            await run(
                world.database_url,
                "UPDATE design_mockups SET v0_chat_id = 'chat-of-another';"
                "UPDATE protokeep_generations SET recovery_point = 'accepted', version = version + 1;",
            )

        meanwhile(provider_of(world.first), "create", found)
        await world.work()

        assert (await world.get(ensured.prototype.id)).chat_id == "chat-of-another"
        assert await world.store.surplus(ensured.prototype.id) == [world.chat.id]

    async def test_a_poll_that_comes_back_after_a_follow_up_writes_nothing(self, world: World) -> None:
        """
        A look that comes back when a message was asked for meanwhile writes nothing: what was asked stands.
        """
        waits = await world.complete()
        world.clock.advance(700)
        await world.store.request_poll(
            tracked(waits), world.clock.now, stale_before=world.clock.now, watched_until=world.clock.now
        )
        asked: list[Prototype] = []

        async def ask() -> None:
            asked.append(await world.keeper.iterate(ANN, waits.id, "Make it blue", wait=0))

        meanwhile(provider_of(world.first), "observe", ask)
        await world.keeper.track(ACCOUNT)

        assert await world.get(waits.id) == asked[0]

    async def test_a_poll_without_news_is_not_written_over_a_row_that_moved(self, world: World) -> None:
        """
        A look that changed nothing is not written over a row that moved, and says so.
        """
        before = await world.make()
        moved = await world.store.save(tracked(before), tracked(replace(before, project_url="https://v0.example/new")))
        assert moved is not None
        polling = replace(generation_of(before).polling, observed_at=world.clock.now, next_poll_at=None)

        assert await world.store.save(tracked(before), tracked(before).with_generation(polling=polling)) is None
        assert await world.get(before.id) == moved


class TestDeletedUndecided:
    @both_versions
    async def test_deleting_an_old_claim_deletes_the_chat_that_it_may_have_made(self, world: World) -> None:
        """
        A claim that lay about may have been sent by whoever had the database before: its deletion deletes that chat.
        """
        claimed = (await world.ensure()).prototype
        keeper_id, _ = await world.store.installation()
        marks = chat_metadata(world.first.context.signer, keeper_id, tracked(claimed))
        await provider_of(world.first).create(claimed.prompt or "", marks)
        world.first.queue.submits.clear()
        world.clock.advance(31)

        left = await world.keeper.delete(ANN, claimed.id)

        assert left is not None
        assert left.state is State.DELETING
        for _ in range(4):
            await world.sweep()
            await world.keeper.finalize()
            world.clock.advance(100)
        assert world.chat.deleted
        assert await world.rows("SELECT id FROM design_mockups") == []


class TestOvertakenFollowUp:
    async def test_a_follow_up_whose_row_moved_is_sent_by_the_other_once(self, world: World) -> None:
        """
        A follow-up whose row moved under its worker is sent by the other one, once.
        """
        first = await world.complete()
        asked = await world.keeper.iterate(ANN, first.id, "Make it blue", wait=0)
        mine, other, theirs = await overtaken(world, asked.id)

        await world.keeper.submit_held(tracked(mine))

        assert said(world) == [first.prompt]
        await other.keeper.submit_held(tracked(theirs))
        assert said(world) == [first.prompt, "Make it blue"]
        assert not generation_of(await world.get(first.id)).follow_up_pending

    async def test_a_follow_up_that_the_other_sent_is_not_sent_again(self, world: World) -> None:
        """
        One that wakes when the other has already sent says nothing a second time.
        """
        first = await world.complete()
        asked = await world.keeper.iterate(ANN, first.id, "Make it blue", wait=0)
        mine, other, theirs = await overtaken(world, asked.id)
        await other.keeper.submit_held(tracked(theirs))

        await world.keeper.submit_held(tracked(mine))

        assert said(world) == [first.prompt, "Make it blue"]

    async def test_a_late_answer_of_an_earlier_turn_leaves_the_next_to_be_sent(self, world: World) -> None:
        """
        The answer to round two's message arrives when round three waits: round three is still to be sent, and is.
        """
        first = await world.complete()
        other = await world.node()

        async def life_goes_on() -> None:
            world.clock.advance(2 * world.timing.lease.total_seconds())
            await other.sweep()  # It finds the message in the chat.
            world.clock.advance(60)
            await other.sweep()
            await other.keeper.iterate(ANN, first.id, "Make it red", wait=0)
            other.queue.submits.clear()

        meanwhile(provider_of(world.first), "send", life_goes_on)
        await world.keeper.iterate(ANN, first.id, "Make it blue", wait=0)
        await world.keeper.submit(first.id)

        waiting = await world.get(first.id)
        assert (waiting.state, generation_of(waiting).follow_up.turn) == (State.QUEUED, 3)
        assert said(world) == [first.prompt, "Make it blue"]
        await other.sweep()
        assert said(world) == [first.prompt, "Make it blue", "Make it red"]

    async def test_a_late_answer_of_a_known_turn_is_not_written_again(self, world: World) -> None:
        """
        An answer that arrives when another process has read the chat is not written a second time.
        """
        first = await world.complete()
        other = await world.node()

        async def found() -> None:
            world.clock.advance(2 * world.timing.lease.total_seconds())
            await other.sweep()

        meanwhile(provider_of(world.first), "send", found)
        await world.keeper.iterate(ANN, first.id, "Make it blue", wait=0)
        await world.keeper.submit(first.id)

        kinds = await world.kinds(first)
        assert len([kind for kind in kinds if kind in ("continued", "adopted")]) == 1


class Ahead:
    """Moves the event loop's clock and the world's together: what sleeps wakes up, and no time passes."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        plain = loop.time
        self._world = world
        self._seconds = 0.0
        monkeypatch.setattr(loop, "time", lambda: plain() + self._seconds)

    async def by(self, seconds: float) -> None:
        """Let so much time pass, as everybody's clocks see it."""
        self._world.clock.advance(seconds)
        self._seconds += seconds
        await asyncio.sleep(0)


async def holds(world: World, query: str, seconds: float = 5.0) -> None:
    """Wait until a lease lasts beyond the world's present."""
    async with asyncio.timeout(seconds):
        while True:
            (row,) = await world.rows(query)
            until_when = row["held"]
            if isinstance(until_when, str):
                until_when = datetime.fromisoformat(until_when)
            if until_when - world.clock.now > world.timing.lease / 2:
                return
            await asyncio.sleep(0.005)


class TestStillAtWork:
    @both_versions
    async def test_a_create_longer_than_its_lease_is_not_taken_over(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A create that lasts much longer than a lease is not taken over while its process lives.
        """
        world.timeout_seconds = 600
        node, other = await world.node(), await world.node()
        ensured = await world.ensure()
        world.sandbox.set_knobs(hold_creates=True)
        sending = asyncio.create_task(node.keeper.submit(ensured.prototype.id))
        await until(lambda: world.sandbox.held_requests == 1)
        calls = world.calls()
        ahead = Ahead(world, monkeypatch)

        for _ in range(8):
            await ahead.by(world.timing.lease.total_seconds() * 0.4)
            await holds(world, "SELECT lease_until AS held FROM protokeep_generations")
            await other.keeper.submit(ensured.prototype.id)
            await other.sweep()

        assert world.calls() == calls
        world.sandbox.set_knobs(hold_creates=False)
        await sending
        assert (world.chats_created, world.creates) == (1, 1)
        assert (await world.get(ensured.prototype.id)).chat_id == world.chat.id

    async def test_a_poll_longer_than_its_lease_is_not_taken_over(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A look at an account that lasts much longer than a lease is not taken over while its process lives.
        """
        other = await world.node()
        await world.make()
        world.clock.advance(3)
        began, ends = held_up(provider_of(world.first))
        looking = asyncio.create_task(world.keeper.track(ACCOUNT))
        await asyncio.wait_for(began.wait(), 5)
        calls = world.calls()
        ahead = Ahead(world, monkeypatch)

        for _ in range(8):
            await ahead.by(world.timing.lease.total_seconds() * 0.4)
            await holds(world, "SELECT tracker_lease_until AS held FROM protokeep_accounts")
            assert await other.keeper.track(ACCOUNT) is None
            assert await other.keeper.sweep() == 0

        assert world.calls() == calls
        ends.set()
        await looking
        assert world.calls() > calls

    async def test_a_process_that_stops_gives_away_only_its_own_accounts(self, world: World) -> None:
        """
        Whoever stops tracking an account that another one tracks changes nothing for that one.
        """
        other, third = await world.node(), await world.node()
        await world.make()
        world.clock.advance(3)
        assert await world.keeper.track(ACCOUNT) is not None

        await other.keeper.release(ACCOUNT)

        world.clock.advance(3)
        assert await third.keeper.track(ACCOUNT) is None
        await world.keeper.release(ACCOUNT)
        assert await third.keeper.track(ACCOUNT) is not None
