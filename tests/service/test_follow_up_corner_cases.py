"""Follow-ups in the rare cases: an answer to a question, a refused one, a stop that the builder does not make."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from protokeep.core.errors import NotNow, ProviderError
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, State, Status
from protokeep.providers.base import Provider, with_follow_ups
from tracked import generation_of
from world import ANN, World, both_versions

SENDS = {1: "chats.sendMessage", 2: "messages.sendAsync"}


def said(world: World) -> list[str]:
    """What users said at v0, in order."""
    return [one.content for chat in world.sandbox.chats.values() for one in chat.messages if one.role == "user"]


async def asks(world: World) -> Prototype:
    """A prototype whose builder waits for an answer."""
    with world.knobs(finish_reason="tool-calls"):
        made = await world.make()
        world.clock.advance(12)
        await world.sweep()
    waits = await world.get(made.id)
    assert waits.state is State.WAITING
    return waits


async def iterate(world: World, prototype: Prototype, message: str = "Make it blue", **more: Any) -> Prototype:
    """Ask for a follow-up, and let it be sent."""
    await world.keeper.iterate(ANN, prototype.id, message, wait=0, **more)
    await world.work()
    return await world.get(prototype.id)


class TestAnswers:
    async def test_a_question_is_answered_by_a_follow_up_once(self, world: World) -> None:
        """
        What waits for an answer gets it by a follow-up, once, and goes on to its end.
        """
        waits = await asks(world)

        answered = await iterate(world, waits, "The blue one")

        assert (answered.status, answered.state) == (Status.IN_PROGRESS, State.MAKING)
        assert said(world) == [waits.prompt, "The blue one"]
        await world.live(30)
        assert (await world.get(waits.id)).status is Status.COMPLETED

    async def test_a_refused_answer_leaves_the_question_open(self, world: World) -> None:
        """
        When v0 refuses the answer, the question stands, is followed as before, and the next answer counts.
        """
        waits = await asks(world)
        with world.knobs(fail_next=[{"operation": SENDS[2], "status": 422, "message": "Too long."}]):
            refused = await iterate(world, waits, "x" * 1000)

        assert (refused.status, refused.state) == (Status.IN_PROGRESS, State.WAITING)
        assert "Too long." in (generation_of(refused).hold.message or "")
        assert generation_of(refused).polling.next_poll_at is not None
        calls = world.calls()
        await world.live(70)
        assert world.calls() > calls
        assert (await iterate(world, refused, "Blue")).state is State.MAKING
        await world.live(70)
        assert (await world.get(waits.id)).status is Status.COMPLETED

    async def test_an_answer_on_the_chats_page_after_a_refused_one_is_seen(self, world: World) -> None:
        """
        When an answer was refused and a person then answers on the chat's own page, the end of it is seen.
        """
        waits = await asks(world)
        with world.knobs(fail_next=[{"operation": SENDS[2], "status": 422}]):
            await iterate(world, waits, "x")

        world.sandbox.backend.resolve(
            world.chat, world.clock(), world.sandbox.knobs, "plan-exit-response", "answered-questions"
        )
        await world.live(180)

        assert (await world.get(waits.id)).status is Status.COMPLETED


class TestUnclear:
    @both_versions
    async def test_a_408_to_a_follow_up_is_looked_up_and_sent_once(self, world: World) -> None:
        """
        A 408 to a follow-up tells nothing: the chat is read, and the message is there once.
        """
        done = await world.complete()
        world.sandbox.set_knobs(fail_after_acting=[{"operation": SENDS[world.api_version], "status": 408}])

        lost = await iterate(world, done)
        assert lost.state is State.UNDECIDED
        await world.live(200)

        assert said(world) == [done.prompt, "Make it blue"]
        assert (await world.get(done.id)).status is Status.COMPLETED

    async def test_a_follow_up_waits_while_its_chat_cannot_be_read(self, world: World) -> None:
        """
        Before every message the chat is read; while that fails the message waits, says why, and is sent later.
        """
        done = await world.complete()
        rule = {"operation": "messages.list", "status": 503, "times": None}
        with world.knobs(fail_next=[rule]):
            parked = await iterate(world, done)
            assert (parked.state, said(world)) == (State.PARKED, [done.prompt])
            assert "read before anything is sent" in (generation_of(parked).hold.message or "")
            await world.live(20)
            assert said(world) == [done.prompt]

        await world.live(60)

        assert said(world) == [done.prompt, "Make it blue"]


class TestPaused:
    @pytest.mark.parametrize(("status", "seconds"), [(402, 120), (429, 45)])
    async def test_a_parked_follow_up_waits_exactly_so_long_and_is_sent_once(
        self, world: World, status: int, seconds: float
    ) -> None:
        """
        A follow-up that v0 puts off waits for exactly so long, and then is sent once.
        """
        done = await world.complete()
        rule = {"operation": SENDS[2], "status": status, "retry_after": seconds}
        with world.knobs(fail_next=[rule]):
            parked = await iterate(world, done)

            assert parked.state is State.PARKED
            assert generation_of(parked).submission.next_try_at == world.clock.now + timedelta(seconds=seconds)
            await world.live(seconds - 1, step=1)
            assert world.calls(SENDS[2]) == 1
            await world.live(3, step=1)

        assert world.calls(SENDS[2]) == 2
        assert said(world) == [done.prompt, "Make it blue"]

    async def test_a_follow_up_of_a_paused_account_is_parked_without_a_call(self, world: World) -> None:
        """
        While the account is paused another follow-up is parked without a call, with the account's reason.
        """
        first, second = await world.complete("p-1"), await world.complete("p-2")
        with world.knobs(fail_next=[{"operation": SENDS[2], "status": 402, "message": "Top up."}]):
            await iterate(world, first)

            other = await iterate(world, second, "Make it red")

        assert (other.state, generation_of(other).hold.code) == (State.PARKED, "out_of_credits")
        assert "Top up." in (generation_of(other).hold.message or "")
        assert generation_of(other).submission.recovery_point is RecoveryPoint.CLAIMED
        assert world.calls(SENDS[2]) == 1

    async def test_a_lost_message_that_is_found_ends_the_pause(self, world: World) -> None:
        """
        A message that is found in its chat proves that the account works: another follow-up goes on at once.
        """
        first, second = await world.complete("p-1"), await world.complete("p-2")
        world.sandbox.set_knobs(fail_after_acting=[{"operation": SENDS[2], "status": 408}])
        lost = await iterate(world, first)
        an_hour_later = world.clock.now + timedelta(hours=1)
        account = generation_of(lost).account
        await world.store.accounts.hold(account, "v0", "out_of_credits", "Top up.", an_hour_later)
        waits = await iterate(world, second, "Make it red")
        assert (lost.state, waits.state) == (State.UNDECIDED, State.PARKED)

        await world.live(200)

        assert {(await world.get(one.id)).status for one in (first, second)} == {Status.COMPLETED}
        assert generation_of(await world.get(second.id)).hold.code is None
        assert world.clock.now < an_hour_later


class TestStop:
    @both_versions
    async def test_a_refused_stop_is_told_and_polling_goes_on(self, world: World) -> None:
        """
        When v0 does not stop it, whoever asked is told so, and it goes on being made and followed.
        """
        made = await world.make()
        await world.live(3)
        before = await world.get(made.id)

        rules = [{"operation": name, "status": 503} for name in ("chats.stop", "messages.stop")]
        with world.knobs(fail_next=rules), pytest.raises(ProviderError):
            await world.keeper.stop(ANN, made.id)

        assert await world.get(made.id) == before
        await world.live(30)
        assert (await world.get(made.id)).status is Status.COMPLETED

    async def test_a_stop_that_found_nothing_running_is_not_told_as_stopped(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        When the builder says that there was nothing to stop, it is not told as stopped, and its end is what was seen.
        """
        made = await world.make()
        await world.live(3)

        async def nothing(*_: Any, **__: Any) -> bool:
            return False

        monkeypatch.setattr(provider_of(world), "cancel", nothing)
        assert (await world.keeper.stop(ANN, made.id)).status is not Status.FAILED
        await world.live(30)

        assert (await world.get(made.id)).status is Status.COMPLETED
        assert await world.rows("SELECT action FROM protokeep_audit WHERE action = 'stopped'") == []

    async def test_stopping_a_ready_prototype_calls_nothing(self, world: World) -> None:
        """
        Stopping what is ready asks v0 for nothing.
        """
        done = await world.complete()
        calls = world.calls()

        assert (await world.keeper.stop(ANN, done.id)).status is Status.COMPLETED
        assert world.calls() == calls

    async def test_a_prototype_that_v0_does_not_have_yet_cannot_be_stopped(self, world: World) -> None:
        """
        What v0 does not have yet, and a message that it does not have yet, cannot be stopped; that is said.
        """
        claimed = (await world.ensure()).prototype
        with pytest.raises(NotNow, match="has not accepted it"):
            await world.keeper.stop(ANN, claimed.id)
        done = await world.complete("p-2")
        await world.keeper.iterate(ANN, done.id, "Make it blue", wait=0)

        with pytest.raises(NotNow, match="has not accepted it"):
            await world.keeper.stop(ANN, done.id)

    async def test_a_prototype_that_finished_during_the_stop_is_ready(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What was seen finished while v0 was asked to stop it is ready, not stopped.
        """
        made = await world.make()
        await world.live(9)
        provider = with_follow_ups(provider_of(world))
        assert provider is not None
        plain = provider.cancel

        async def late(*given: Any, **more: Any) -> bool:
            world.clock.advance(5)
            await world.sweep()
            return await plain(*given, **more)

        monkeypatch.setattr(provider, "cancel", late)
        stopped = await world.keeper.stop(ANN, made.id)

        assert (stopped.status, (await world.get(made.id)).status) == (Status.COMPLETED, Status.COMPLETED)


def provider_of(world: World) -> Provider:
    """What the first process calls v0 with."""
    return world.first.context.providers.for_new()[0][1]
