"""What a process that slept, or whose clock was set, may still send: nothing that another one may have sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from protokeep.core.errors import DatabaseUnavailable, NotNow
from protokeep.core.generation import RecoveryPoint
from protokeep.core.principals import Principal
from protokeep.core.prototype import State, Status, TrackedPrototype
from protokeep.providers.base import with_follow_ups
from protokeep.service import NewPrototype
from protokeep.service.context import renewing
from protokeep.wiring import ENVIRONMENT_ACCOUNT
from tracked import generation_of, tracked
from world import ANN, BOB, PROMPT, Node, World, both_versions, until

SENDS = ("chats.sendMessage", "messages.sendAsync", "messages.send")


def messages_of(world: World) -> list[str]:
    """What people said in the one chat that v0 has, as v0 holds it, oldest first."""
    return [message.content for message in world.chat.messages if message.role == "user"]


@contextlib.asynccontextmanager
async def commit_held_up(node: Node) -> AsyncIterator[tuple[asyncio.Event, asyncio.Event]]:
    """The answer to the commit of "sent" comes late: (it is written, it may come)."""
    save = node.store.save
    written, may_come = asyncio.Event(), asyncio.Event()

    async def late(
        before: TrackedPrototype, after: TrackedPrototype, *events: Any, **more: Any
    ) -> TrackedPrototype | None:
        saved = await save(before, after, *events, **more)
        if any(event.kind == "sent" for event in events) and not written.is_set():
            written.set()
            await may_come.wait()
        return saved

    node.store.save = late  # type: ignore[method-assign]
    try:
        yield written, may_come
    finally:
        node.store.save = save  # type: ignore[method-assign]


async def pass_time(world: World, node: Node, seconds: float, step: float = 3.0) -> None:
    """Let time pass for one living process."""
    for _ in range(int(seconds / step)):
        world.clock.advance(step)
        await node.sweep()


class TestZombies:
    @both_versions
    async def test_a_create_whose_commit_was_held_up_is_not_sent_any_more(self, world: World) -> None:
        """
        A process sleeps between the commit of "sent" and the call, another one takes over and sends: one chat.
        """
        sleeper, other = world.first, await world.node()
        ensured = await world.ensure()
        async with commit_held_up(sleeper) as (written, may_come):
            sending = asyncio.create_task(sleeper.keeper.submit(ensured.prototype.id))
            await written.wait()
            await pass_time(world, other, 150)
            assert world.chats_created == 1
            may_come.set()
            await sending

        assert (world.chats_created, world.creates) == (1, 1)
        assert (await world.get(ensured.prototype.id)).chat_id == world.chat.id

    @both_versions
    async def test_a_follow_up_whose_commit_was_held_up_is_not_sent_any_more(self, world: World) -> None:
        """
        The same for a message: it is at v0 once.
        """
        made = await world.complete()
        sleeper, other = world.first, await world.node()
        await sleeper.keeper.iterate(ANN, made.id, "Make it blue", wait=0)
        async with commit_held_up(sleeper) as (written, may_come):
            sending = asyncio.create_task(sleeper.keeper.submit(made.id))
            await written.wait()
            await pass_time(world, other, 150)
            assert messages_of(world) == [PROMPT, "Make it blue"]
            may_come.set()
            await sending

        assert messages_of(world) == [PROMPT, "Make it blue"]

    @both_versions
    async def test_a_sleeper_that_nobody_replaced_sends_later(self, world: World) -> None:
        """
        A call that came too late is not made, and nothing is lost: the row goes on by itself.
        """
        ensured = await world.ensure()
        async with commit_held_up(world.first) as (written, may_come):
            sending = asyncio.create_task(world.keeper.submit(ensured.prototype.id))
            await written.wait()
            world.clock.advance(100)
            may_come.set()
            await sending
        assert world.creates == 0
        waiting = await world.get(ensured.prototype.id)
        assert generation_of(waiting).submission.recovery_point is RecoveryPoint.CLAIMED

        await world.live(15)

        assert (world.creates, world.chats_created) == (1, 1)

    @both_versions
    async def test_a_process_that_sleeps_while_it_connects_sends_nothing(self, world: World) -> None:
        """
        The last check stands right before the first byte: the wait for a connection counts, too.
        """
        provider = world.first.context.providers.serving(ENVIRONMENT_ACCOUNT, world.api_version)
        assert provider is not None
        transport = provider._http._client._transport  # type: ignore[attr-defined]
        handle = transport.handle_async_request

        async def sleeps(request: Any) -> Any:
            if request.method == "POST":
                world.clock.advance(100)
            return await handle(request)

        transport.handle_async_request = sleeps
        ensured = await world.make()
        transport.handle_async_request = handle

        assert world.creates == 0
        assert (await world.get(ensured.id)).state is State.PARKED
        await world.live(15)
        assert (world.creates, world.chats_created) == (1, 1)

    async def test_a_row_whose_call_is_open_is_not_taken_by_its_own_process(self, world: World) -> None:
        """
        However old a jump of the clock makes the lease look, the process knows that it is sending.
        """
        sender = await world.node(timeout_seconds=60)
        world.sandbox.set_knobs(hold_creates="before", list_delay_seconds=300)
        ensured = await world.ensure()
        sending = asyncio.create_task(sender.keeper.submit(ensured.prototype.id))
        await until(lambda: world.creates == 1)

        world.clock.step(600)
        for _ in range(5):
            world.clock.step(20)
            await sender.sweep()
            await sender.keeper.submit(ensured.prototype.id)
        assert world.creates == 1
        world.sandbox.set_knobs(hold_creates=False)
        await sending

        assert (world.chats_created, world.creates) == (1, 1)

    @both_versions
    async def test_a_held_row_that_a_sweep_took_up_first_is_worked_on_once(self, world: World) -> None:
        """
        What waited for its turn until its lease ended finds the row in work, and lets no third one begin on it.
        """
        node = await world.node(holds_claims=True)
        await node.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
        (claimed,) = node.queue.held
        world.sandbox.set_knobs(hold_creates="before")
        world.clock.advance(world.timing.lease.total_seconds() + 1)
        sending = asyncio.create_task(node.keeper.submit(claimed.id))
        await until(lambda: world.creates == 1)

        await node.keeper.submit_held(tracked(claimed))
        world.clock.step(600)
        fence = generation_of(await world.get(claimed.id)).submission.fence
        await node.keeper.submit(claimed.id)

        assert generation_of(await world.get(claimed.id)).submission.fence == fence
        world.sandbox.set_knobs(hold_creates=False)
        await sending
        assert (world.chats_created, world.creates) == (1, 1)

    async def test_a_lease_is_renewed_after_a_database_that_failed_once(self) -> None:
        """
        One renewal that fails is no end of it: the row stays this process's for as long as it works on it.
        """
        renewals = 0

        async def renew() -> None:
            nonlocal renewals
            renewals += 1
            if renewals == 1:
                raise DatabaseUnavailable

        async with renewing(renew, timedelta(milliseconds=1)):
            await until(lambda: renewals >= 3)


class TestClockSteps:
    @pytest.mark.parametrize("step", [120, 600, 3600, -120, -600, -3600])
    @both_versions
    async def test_another_process_sends_nothing_twice_after_a_clock_step(self, world: World, step: int) -> None:
        """
        The clock is set while a create is under way, and lists lag: another process takes the row over, and waits.
        """
        other = await world.node(steady=True)
        await other.context.heartbeat.beat()
        sender = await world.node(timeout_seconds=60)
        world.sandbox.set_knobs(hold_creates="before", list_delay_seconds=60)
        ensured = await world.ensure()
        sending = asyncio.create_task(sender.keeper.submit(ensured.prototype.id))
        await until(lambda: world.creates == 1)

        world.clock.step(step)
        for _ in range(8):
            world.clock.advance(3)
            await other.context.heartbeat.beat()
            await other.sweep()
        assert world.creates == 1
        world.sandbox.set_knobs(hold_creates=False)
        await sending
        await pass_time(world, other, 60)

        assert (world.chats_created, world.creates) == (1, 1)
        assert (await world.get(ensured.prototype.id)).chat_id == world.chat.id

    @pytest.mark.parametrize("step", [-600, -3600])
    @both_versions
    async def test_nothing_rests_after_the_clock_was_set_back(self, world: World, step: int) -> None:
        """
        What was parked, and what was due for a look, goes on as if nothing had happened.
        """
        node = await world.node(steady=True)
        await node.context.heartbeat.beat()
        making = await world.make("p-1")
        world.sandbox.set_knobs(fail_next=[{"operation": "chats.create*", "status": 429, "retry_after": 20}])
        parked = await world.make("p-2")
        assert parked.state is State.PARKED

        world.clock.step(step)
        for _ in range(12):
            world.clock.advance(3)
            await node.context.heartbeat.beat()
            await node.sweep()

        assert (await world.get(making.id)).status is Status.COMPLETED
        assert (await world.get(parked.id)).chat_id is not None

    @pytest.mark.parametrize("step", [-3600, 3600])
    async def test_a_dead_process_is_followed_up_soon_whatever_the_clock_says(self, world: World, step: int) -> None:
        """
        A process dies right after its claim, then the clock is set: another one sends soon.
        """
        dead, other = await world.node(holds_claims=True), await world.node(steady=True)
        await other.context.heartbeat.beat()
        await dead.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)

        world.clock.step(step)
        for _ in range(5):
            world.clock.advance(2)
            await other.context.heartbeat.beat()
            await other.sweep()

        assert (world.chats_created, world.creates) == (1, 1)

    async def test_a_process_does_not_follow_a_step_before_its_next_beat(self, world: World) -> None:
        """
        A steady clock is carried along by the ruler alone, and goes by the database's clock with each beat.
        """
        node = await world.node(steady=True)
        await node.context.heartbeat.beat()
        began = node.context.clock()

        world.clock.step(3600)
        world.clock.advance(2)
        assert (node.context.clock() - began).total_seconds() == 2
        await node.context.heartbeat.beat()
        assert node.context.clock() == world.clock()


class TestFollowUps:
    @both_versions
    async def test_two_follow_ups_with_two_keys_at_once_are_one_and_a_refusal(self, world: World) -> None:
        """
        Whoever is told that a message is accepted finds it at v0; the other one is told to wait.
        """
        made = [await world.complete(f"p-{number}") for number in range(6)]
        other = await world.node()

        async def say(number: int, node: Node, who: Principal) -> str | None:
            words = f"{who.user_id} wants {number}"
            with contextlib.suppress(NotNow):
                await node.keeper.iterate(who, made[number].id, words, idempotency_key=words, wait=0)
                return words
            return None

        asking = [say(number, node, who) for number in range(6) for node, who in ((world.first, ANN), (other, BOB))]
        accepted = {words for words in await asyncio.gather(*asking) if words}
        await world.live(30)

        said = {one.content for chat in world.sandbox.chats.values() for one in chat.messages if one.role == "user"}
        assert len(accepted) >= 6
        assert accepted <= said
        audited = await world.rows("SELECT count(*) AS number FROM protokeep_audit WHERE action = 'prototype.asked'")
        keys = await world.rows("SELECT count(*) AS number FROM protokeep_idempotency_keys")
        assert keys[0]["number"] == len(accepted)
        assert audited[0]["number"] in (0, len(accepted))

    @both_versions
    async def test_the_same_words_twice_are_two_messages(self, world: World) -> None:
        """
        "continue", done, and "continue" again while the account waits: v0 has it twice.
        """
        made = await world.complete()
        await world.keeper.iterate(ANN, made.id, "continue", wait=0)
        await world.live(20)
        world.sandbox.set_knobs(
            fail_next=[{"operation": operation, "status": 429, "retry_after": 40} for operation in SENDS[:2]]
        )
        await world.keeper.iterate(ANN, made.id, "continue", wait=0)

        await world.live(90)

        assert messages_of(world) == [PROMPT, "continue", "continue"]
        assert (await world.get(made.id)).status is Status.COMPLETED

    @both_versions
    async def test_the_same_words_after_a_restart_are_two_messages(self, world: World) -> None:
        """
        A process that starts does not trust that nothing was sent, and still tells the two apart.
        """
        made = await world.complete()
        await world.keeper.iterate(ANN, made.id, "continue", wait=0)
        await world.live(20)
        await world.keeper.iterate(ANN, made.id, "continue", wait=0)
        world.first.queue.submits.clear()

        world.clock.advance(40)
        node = await world.node(single_process=True)
        await pass_time(world, node, 60)

        assert messages_of(world) == [PROMPT, "continue", "continue"]

    @both_versions
    async def test_one_refusal_for_now_holds_nobody_up_for_long(self, world: World) -> None:
        """
        The follow-up that finds out that the account works again lets all others go on.
        """
        made = [await world.complete(f"p-{number}") for number in range(5)]
        world.sandbox.set_knobs(
            fail_next=[{"operation": operation, "status": 429, "retry_after": 5} for operation in SENDS[:2]]
        )
        for number, one in enumerate(made):
            await world.keeper.iterate(ANN, one.id, f"change {number}", wait=0)
        await world.work()

        await world.live(15)

        said = [one.content for chat in world.sandbox.chats.values() for one in chat.messages if one.role == "user"]
        assert sorted(words for words in said if words.startswith("change")) == [f"change {n}" for n in range(5)]

    @both_versions
    async def test_a_stop_that_slept_ends_no_later_turn(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The builder stopped; before that is written another process sees it, and a follow-up begins a new round.
        """
        other = await world.node()
        made = await world.make()
        world.clock.advance(2)
        provider = with_follow_ups(world.first.context.providers.for_new()[0][1])
        assert provider is not None
        cancel = provider.cancel

        async def slept(*arguments: Any, **more: Any) -> bool:
            stopped = await cancel(*arguments, **more)
            world.clock.advance(5)
            await other.sweep()
            await other.keeper.iterate(ANN, made.id, "Go on", wait=0)
            await other.work()
            return stopped

        monkeypatch.setattr(provider, "cancel", slept)
        await world.keeper.stop(ANN, made.id)
        after = await world.get(made.id)
        assert (generation_of(after).follow_up.turn, after.status) == (2, Status.IN_PROGRESS)

        await pass_time(world, other, 15)
        assert (await world.get(made.id)).status is Status.COMPLETED

    @both_versions
    async def test_a_chat_that_was_read_long_ago_counts_as_read_then(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A process sleeps with the answer in its hands: it tells what was there before it slept.
        """
        made = await world.complete()
        world.sandbox.set_knobs(fail_next=[{"operation": one, "status": 500} for one in SENDS])
        await world.keeper.iterate(ANN, made.id, "Make it blue", wait=0)
        await world.work()
        assert generation_of(await world.get(made.id)).submission.recovery_point is RecoveryPoint.SENT
        provider = with_follow_ups(world.first.context.providers.for_new()[0][1])
        assert provider is not None
        talk = provider.conversation

        async def slept(chat_id: str) -> Any:
            said = await talk(chat_id)
            world.clock.advance(300)
            return said

        monkeypatch.setattr(provider, "conversation", slept)
        world.clock.advance(3)
        await world.sweep()

        assert generation_of(await world.get(made.id)).submission.lookups == 0


@both_versions
async def test_a_process_stopped_in_its_calls_does_not_blame_the_builder(world: World) -> None:
    """
    Ten creates are in their calls when the process is stopped: all time out, and none of them makes the account wait.
    """
    sender = await world.node(timeout_seconds=3)
    made = [await world.ensure(f"p-{number}") for number in range(10)]
    world.sandbox.set_knobs(hold_creates="before")
    sending = [asyncio.create_task(sender.keeper.submit(one.prototype.id)) for one in made]
    await until(lambda: world.creates == 10)
    world.clock.advance(115)
    await asyncio.gather(*sending)
    world.sandbox.set_knobs(hold_creates=False)

    assert await world.rows("SELECT account FROM protokeep_accounts WHERE failures > 0 OR hold_until IS NOT NULL") == []
