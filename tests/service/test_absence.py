"""Absence is not proof: whatever v0 does not show for a while is kept, and nothing is made twice for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from protokeep.core.errors import NotFound, NotNow
from protokeep.core.polling import ChatShown, polled
from protokeep.core.prototype import UNFINISHED, Observation, ObservedState, Prototype, State, Status
from protokeep.core.reuse import Outcome
from protokeep.core.visible_fields import visible_fields
from protokeep.store.sql import ConstraintBroken
from tracked import generation_of, tracked
from world import ANN, GENERATION_SECONDS, Node, World, both_versions, on_sqlite

#: A process is believed about absent chats after this.
SETTLED_IN = 660


def hide(world: World, *chats: str | None, seconds: float | None = None, messages_only: bool = False) -> None:
    """Nobody sees these chats (none named: all) at v0, for so long."""
    until = None if seconds is None else (world.clock.now + timedelta(seconds=seconds)).isoformat()
    rule: dict[str, Any] = {"until": until, "messages_only": messages_only}
    world.sandbox.set_knobs(hide=[{**rule, "chat": chat} for chat in (chats or ("*",))])


def show(world: World) -> None:
    world.sandbox.set_knobs(hide=[])


async def two_old_ones(world: World) -> tuple[Prototype, Prototype]:
    """Two ready prototypes, and a process that is believed about absent chats."""
    first, second = await world.complete("p-1"), await world.complete("p-2")
    await world.live(SETTLED_IN, step=25)
    return await world.get(first.id), await world.get(second.id)


async def recheck(world: World, product: str = "p-1") -> Prototype:
    """A status request that looks, as it comes long after the end."""
    world.clock.advance(world.timing.completed_recheck.total_seconds())
    return await world.status(product)


async def begin(world: World, product: str = "p-2") -> Prototype:
    """One that is being made for hours: it shows that the account is visible."""
    with world.knobs(generation_seconds=50_000):
        return await world.make(product)


@both_versions
class TestNotVisible:
    async def test_a_young_chat_that_reads_as_404_is_not_visible_and_completes(self, world: World) -> None:
        """
        A chat that is not shown for its first 25 seconds is not visible, and then completes; a click meanwhile gets
        it, with the reason, and makes nothing.
        """
        world.sandbox.set_knobs(read_delay_seconds=25, list_delay_seconds=25)
        made = await world.make()
        await world.live(9)

        absent = await world.get(made.id)
        assert (absent.status in UNFINISHED, absent.state) == (True, State.NOT_VISIBLE)
        view = visible_fields(absent, world.clock.now)
        assert (view["state"], view["reason"]["code"], view["error"]) == ("not_visible", "not_visible", None)
        assert "does not show it" in view["reason"]["message"]
        again = await world.ensure()
        assert (again.decision.outcome, again.prototype.id) == (Outcome.REUSED, made.id)
        assert "does not show it at present" in again.decision.reason
        await world.live(60)

        assert (await world.get(made.id)).state is State.READY
        assert world.chats_created == 1
        assert (await world.kinds(made)).count("status") <= 4

    @pytest.mark.parametrize("seconds", [20, 90, 1800])
    async def test_an_account_that_shows_no_chat_for_a_while_fails_nothing(self, world: World, seconds: float) -> None:
        """
        When v0 shows none of an account's chats for a while, nothing fails, clicks make nothing, and all complete.
        """
        products = [f"p-{number}" for number in range(25)]
        made = [await world.make(product) for product in products]
        await world.live(3)
        hide(world, seconds=seconds)
        await world.live(seconds - 1, step=20)
        assert State.NOT_VISIBLE in {(await world.get(one.id)).state for one in made}
        again = [await world.ensure(product) for product in products]
        assert {one.decision.outcome for one in again} == {Outcome.REUSED}

        await world.live(max(60, seconds / 5), step=20)

        assert {(await world.get(one.id)).status for one in made} == {Status.COMPLETED}
        assert world.chats_created == len(products)
        failed = await world.rows("SELECT id FROM protokeep_events WHERE status = 'failed'")
        assert not failed

    async def test_creates_that_are_answered_with_404_wait_and_go_on(self, world: World) -> None:
        """
        While v0 answers 404 to everything, creates wait and go on by themselves; none fails.
        """
        world.sandbox.set_knobs(fail_next=[{"status": 404, "times": None}])
        made = await world.make()
        assert (made.status, made.state) == (Status.PENDING, State.PARKED)
        await world.live(20)
        world.sandbox.set_knobs(fail_next=[])
        await world.live(90)

        assert (await world.get(made.id)).state is State.READY
        assert world.chats_created == 1

    async def test_a_missing_chat_is_polled_ever_more_slowly(self, world: World) -> None:
        """
        An hour of absence costs a few dozen looks, and a crowd of viewers at most one a minute.
        """
        await world.make()
        await world.live(3)
        hide(world)
        before = world.calls()
        await world.live(3600, step=3)
        assert world.calls() - before < 100
        before = world.calls()
        for _ in range(60):
            world.clock.advance(2)
            await asyncio.gather(*(world.status() for _ in range(5)))
        assert world.calls() - before <= 9

    async def test_a_process_that_has_just_begun_declares_nothing_gone(self, world: World) -> None:
        """
        A process does not know how new its key is: what it has not seen itself is not gone in its first minutes.
        """
        _first, second = await two_old_ones(world)
        going = await begin(world, "p-3")
        await world.live(6)
        node = await world.node()
        await world.keeper.release(generation_of(second).account)
        world.sandbox.delete(second.chat_id or "")
        world.clock.advance(600)

        await node.keeper.status(ANN, "p-2", "v0")
        await live(world, node, 420)
        absent = await world.get(second.id)
        assert (absent.status, absent.state) == (Status.COMPLETED, State.NOT_VISIBLE)
        await live(world, node, 300)

        assert (await world.get(second.id)).status is Status.FAILED
        assert (await world.get(going.id)).status is not Status.FAILED

    async def test_another_teams_key_makes_nothing_gone(self, world: World) -> None:
        """
        With the key of a team that has chats of its own, nothing of ours is gone, however long it lasts.
        """
        first, _second = await two_old_ones(world)
        going = await begin(world, "p-3")
        node = await world.node(key="another-team")
        provider = node.context.providers.serving(generation_of(first).account, world.api_version)
        assert provider is not None
        await provider.create("theirs", {})
        await world.keeper.release(generation_of(first).account)
        world.clock.advance(600)

        await node.keeper.status(ANN, "p-1", "v0")
        await live(world, node, 7200, step=25)

        assert (await world.get(first.id)).state is State.NOT_VISIBLE
        assert (await world.get(going.id)).state is State.NOT_VISIBLE
        assert await world.rows("SELECT id FROM protokeep_events WHERE status = 'failed'") == []


async def live(world: World, node: Node, seconds: float, step: float = 20) -> None:
    """As `World.live`, with another process."""
    for _ in range(int(seconds / step)):
        world.clock.advance(step)
        await node.sweep()


@both_versions
class TestGone:
    async def test_a_chat_deleted_at_v0_is_gone_after_minutes_and_replaced(self, world: World) -> None:
        """
        One that was deleted at v0 is not visible for minutes, and gone then; the next request replaces it.
        """
        first, _second = await two_old_ones(world)
        await begin(world, "p-3")
        world.sandbox.delete(first.chat_id or "")
        assert (await recheck(world)).state is State.NOT_VISIBLE
        await world.live(240, step=10)
        assert (await world.get(first.id)).status is Status.COMPLETED
        assert (await world.ensure()).decision.outcome is Outcome.REUSED

        await world.live(180, step=10)

        gone = await world.get(first.id)
        assert (gone.status, gone.state, generation_of(gone).error.code) == (Status.FAILED, State.FAILED, "gone")
        replaced = await world.ensure()
        assert replaced.decision.outcome is Outcome.REPLACED

    async def test_one_list_call_tells_whether_a_lone_chat_is_gone(self, world: World) -> None:
        """
        Where nothing else is looked at, one list call tells that the account shows others of ours.
        """
        first, _second = await two_old_ones(world)
        world.sandbox.delete(first.chat_id or "")
        await recheck(world)
        before = world.calls("chats.list", "chats.find")
        await world.live(420, step=10)

        assert (await world.get(first.id)).status is Status.FAILED
        assert world.calls("chats.list", "chats.find") - before <= (1 if world.api_version == 2 else 40)

    async def test_nothing_is_gone_where_the_list_is_empty(self, world: World) -> None:
        """
        Where the list is empty, nothing is gone.
        """
        first = await world.complete()
        await world.live(SETTLED_IN, step=25)
        hide(world)
        await recheck(world)
        await world.live(3600, step=20)

        assert (await world.get(first.id)).state is State.NOT_VISIBLE
        show(world)
        assert (await recheck(world)).state is State.READY

    async def test_a_gone_chat_that_is_seen_again_is_current_again(self, world: World) -> None:
        """
        When a chat that counted as gone is seen again, its prototype is what v0 says, and current if it has its slot.
        """
        first, _second = await two_old_ones(world)
        await begin(world, "p-3")
        hide(world, first.chat_id)
        await recheck(world)
        await world.live(420, step=10)
        gone = await world.get(first.id)
        assert gone.status is Status.FAILED
        show(world)
        await world.live(1000, step=20)

        back = await world.get(first.id)
        assert (back.status, back.state, back.is_current) == (Status.COMPLETED, State.READY, True)
        assert generation_of(back).error.code is None
        assert generation_of(back).credits == generation_of(first).credits
        assert (await world.ensure()).decision.outcome is Outcome.REUSED

    async def test_a_replaced_chat_that_is_seen_again_is_not_current(self, world: World) -> None:
        """
        One that was replaced meanwhile comes back, and the new one stays current.
        """
        first, _second = await two_old_ones(world)
        await begin(world, "p-3")
        hide(world, first.chat_id)
        await recheck(world)
        await world.live(420, step=10)
        second = await world.make("p-1")
        show(world)
        await world.live(1000, step=20)

        back = await world.get(first.id)
        assert (back.status, back.is_current) == (Status.COMPLETED, False)
        assert (await world.get(second.id)).is_current

    async def test_a_status_request_polls_a_gone_prototype_once_a_minute(self, world: World) -> None:
        """
        A status request for a gone one looks again, once a minute at most.
        """
        first, _second = await two_old_ones(world)
        await begin(world, "p-3")
        hide(world, first.chat_id)
        await recheck(world)
        await world.live(420, step=10)
        show(world)
        world.clock.advance(61)

        assert (await world.status("p-1")).status is Status.COMPLETED


class TestMessages:
    async def test_a_hidden_message_is_read_by_its_chats_newest_one(self, world: World) -> None:
        """
        While the message that is being made is not there, the newest one of its chat tells how far it is.
        """
        made = await world.make()
        hide(world, messages_only=True)
        await world.live(6)
        assert (await world.get(made.id)).state is State.MAKING
        await world.live(GENERATION_SECONDS + 30)

        assert (await world.get(made.id)).state is State.READY

    @both_versions
    async def test_a_stop_answered_with_404_is_not_nothing_was_running(self, world: World) -> None:
        """
        A stop that is answered with 404 is not taken for "nothing was running".
        """
        made = await begin(world, "p-1")
        await world.live(6)
        hide(world)

        with pytest.raises(NotNow, match="does not show this chat"):
            await world.keeper.stop(ANN, made.id)

        show(world)
        stopped = await world.keeper.stop(ANN, made.id)
        assert generation_of(stopped).error.code == "stopped"

    @both_versions
    async def test_a_stop_of_a_hidden_message_is_not_nothing_was_running(self, world: World) -> None:
        """
        Nor is one whose message is missing in a chat that is there.
        """
        made = await begin(world, "p-1")
        hide(world, messages_only=True)

        with pytest.raises(NotNow, match="does not show"):
            await world.keeper.stop(ANN, made.id)

    @both_versions
    async def test_a_stop_answered_with_409_changes_nothing(self, world: World) -> None:
        """
        409 says that nothing was running: nothing changes.
        """
        made = await world.make()
        world.clock.advance(GENERATION_SECONDS)

        assert (await world.keeper.stop(ANN, made.id)).status is Status.COMPLETED


@both_versions
class TestFollowUps:
    async def ask(self, world: World, one: Prototype) -> None:
        await world.keeper.iterate(ANN, one.id, "Make it blue", wait=0)
        await world.work()

    async def said(self, world: World, one: Prototype) -> int:
        chat = world.sandbox.chats[one.chat_id or ""]
        return sum(message.content == "Make it blue" for message in chat.messages)

    async def test_a_follow_up_into_a_hidden_chat_waits_and_is_sent_once(self, world: World) -> None:
        """
        A follow-up into a chat that is not shown waits, with words, ever longer, and is sent once when it is back.
        """
        first, _second = await two_old_ones(world)
        hide(world, first.chat_id)
        await self.ask(world, first)

        waiting = await world.get(first.id)
        assert (waiting.status, waiting.state) == (Status.COMPLETED, State.PARKED)
        assert "does not show the chat" in (generation_of(waiting).hold.message or "")
        before = world.calls()
        await world.live(120, step=2)
        assert world.calls() - before < 20
        show(world)
        await world.live(120, step=5)

        assert await self.said(world, first) == 1
        assert (await world.get(first.id)).state is State.READY

    async def test_an_undecided_follow_up_in_a_hidden_chat_is_not_sent_again(self, world: World) -> None:
        """
        One whose answer was lost stays undecided while its chat is not shown, and is not sent again.
        """
        first, _second = await two_old_ones(world)
        sends = {"operation": "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"}
        world.sandbox.set_knobs(drop_next=[sends])
        await self.ask(world, first)
        hide(world, first.chat_id)
        await world.live(200, step=5)
        assert (await world.get(first.id)).state is State.UNDECIDED
        show(world)
        await world.live(200, step=5)

        assert await self.said(world, first) == 1
        assert (await world.get(first.id)).state is State.READY

    async def test_a_follow_up_answered_with_404_was_not_sent_and_is_sent_once(self, world: World) -> None:
        """
        One whose sending is answered with 404 was not sent: it waits, and is sent once.
        """
        first, _second = await two_old_ones(world)
        sends = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
        world.sandbox.set_knobs(fail_next=[{"operation": sends, "status": 404, "times": 2}])
        await self.ask(world, first)
        waiting = await world.get(first.id)
        assert (waiting.state, generation_of(waiting).hold.code) == (State.PARKED, "not_visible")

        await world.live(60, step=5)

        assert await self.said(world, first) == 1
        assert (await world.get(first.id)).state is State.READY

    async def test_a_follow_up_ends_only_with_a_chat_that_is_surely_gone(self, world: World) -> None:
        """
        Only with a chat that is gone for certain it ends, and history keeps its words.
        """
        first, _second = await two_old_ones(world)
        world.sandbox.delete(first.chat_id or "")
        await self.ask(world, first)
        await world.live(280, step=5)
        assert (await world.get(first.id)).state is State.PARKED

        await world.live(120, step=5)

        ended = await world.get(first.id)
        assert (ended.status, generation_of(ended).error.code) == (Status.FAILED, "gone")
        history, _ = await world.keeper.history(ended)
        assert "The message was not sent: Make it blue" in history[-1]["data"]

    async def test_a_follow_up_that_ended_with_its_chat_is_not_sent_when_it_is_back(self, world: World) -> None:
        """
        If such a chat comes back, what it ended with counts again; the follow-up that ended is not sent.
        """
        first, _second = await two_old_ones(world)
        hide(world, first.chat_id)
        await self.ask(world, first)
        await world.live(400, step=5)
        assert (await world.get(first.id)).status is Status.FAILED
        show(world)
        world.clock.advance(61)

        assert (await world.status("p-1")).state is State.READY
        assert await self.said(world, first) == 0


@both_versions
class TestDeletions:
    async def test_a_chat_that_was_hidden_at_its_deletion_is_deleted_later(self, world: World) -> None:
        """
        A chat that v0 did not show when it was to be deleted is deleted when it shows it again.
        """
        first, _second = await two_old_ones(world)
        hide(world, first.chat_id, seconds=200)

        left = await world.keeper.delete(ANN, first.id)

        assert left is not None
        assert (left.state, generation_of(left).hold.code) == (State.DELETING, "not_visible")
        for _ in range(40):
            world.clock.advance(10)
            await world.keeper.finalize()
        assert world.sandbox.chats[first.chat_id or ""].deleted
        with pytest.raises(NotFound):
            await world.keeper.get(ANN, first.id)

    async def test_a_404_after_a_forbidden_deletion_proves_no_deletion(self, world: World) -> None:
        """
        A deletion that was refused for certain deleted nothing, and a "not found" after it proves no more than another.
        """
        first, _second = await two_old_ones(world)
        await world.keeper.reconcile()
        world.clock.advance(3 * 86400)
        await world.keeper.reconcile()
        with world.knobs(fail_next=[{"operation": "chats.delete", "status": 403}]):
            await world.keeper.delete(ANN, first.id)
        hide(world, seconds=60)

        for _ in range(60):
            world.clock.advance(10)
            await world.keeper.finalize()

        assert world.sandbox.chats[first.chat_id or ""].deleted
        with pytest.raises(NotFound):
            await world.keeper.get(ANN, first.id)

    async def test_a_prototype_whose_chat_was_deleted_at_v0_is_deleted_after_minutes(self, world: World) -> None:
        """
        One that somebody deleted at v0 goes here, too, after minutes of 404s.
        """
        first, _second = await two_old_ones(world)
        world.sandbox.delete(first.chat_id or "")
        assert await world.keeper.delete(ANN, first.id) is not None
        for _ in range(29):
            world.clock.advance(10)
            await world.keeper.finalize()
        assert (await world.get(first.id)).state is State.DELETING

        for _ in range(12):
            world.clock.advance(10)
            await world.keeper.finalize()

        with pytest.raises(NotFound):
            await world.keeper.get(ANN, first.id)

    async def test_a_surplus_chat_that_was_hidden_is_deleted_later(self, world: World) -> None:
        """
        A second chat that v0 did not show when its prototype was deleted is deleted when it shows it.
        """
        first, _second = await two_old_ones(world)
        provider = world.first.context.providers.serving(generation_of(first).account, world.api_version)
        assert provider is not None
        extra = await provider.create("A shop", {"protokeep_marker": first.id})
        await world.store.note_surplus(tracked(first), extra.chat_id, world.clock.now)
        hide(world, extra.chat_id, seconds=100)

        assert await world.keeper.delete(ANN, first.id) is not None
        for _ in range(30):
            world.clock.advance(10)
            await world.keeper.finalize()

        assert world.sandbox.chats[extra.chat_id].deleted

    async def test_a_gone_prototype_is_deleted_at_once(self, world: World) -> None:
        """
        One that counts as gone is deleted at once.
        """
        first, _second = await two_old_ones(world)
        world.sandbox.delete(first.chat_id or "")
        await recheck(world)
        await world.live(420, step=10)

        assert await world.keeper.delete(ANN, first.id) is None


class TestClock:
    @both_versions
    @pytest.mark.parametrize("watched", [True, False])
    async def test_a_clock_set_forward_times_nothing_out(self, world: World, watched: bool) -> None:
        """
        A clock that jumps an hour ahead times nothing out, whoever looks first.
        """
        made = await begin(world, "p-1")
        await world.live(9)

        world.clock.advance(3600)
        if watched:
            await world.status("p-1")
        await world.live(300, step=20)

        assert (await world.get(made.id)).state is State.MAKING
        await world.live(400, step=20)
        assert (await world.get(made.id)).status is Status.TIMEOUT

    @both_versions
    async def test_a_clock_set_back_delays_no_deadline(self, world: World) -> None:
        """
        A clock that is set back moves no deadline further away than a whole poll clock.
        """
        made = await begin(world, "p-1")
        await world.live(9)
        world.clock.advance(-3600)
        await world.status("p-1")

        deadline = generation_of(await world.get(made.id)).polling.deadline_at
        assert deadline is not None
        assert deadline - world.clock.now <= world.timing.poll_timeout


@on_sqlite
class TestOneBadItem:
    @pytest.mark.parametrize("api_version", [1])
    async def test_a_forbidden_chat_keeps_no_other_from_being_read(self, world: World) -> None:
        """
        v1: a chat of ours that is refused (403) keeps none of the others from being read, and is not gone.
        """
        made = [await world.make(f"p-{number}") for number in range(3)]
        rules = [
            {"operation": "chats.find", "body": '{"object": "list", "data": []}', "times": 3},
        ]
        world.sandbox.set_knobs(
            answer_next=rules, fail_next=[{"operation": "chats.getById", "status": 403, "times": 1}]
        )
        world.clock.advance(GENERATION_SECONDS)
        await world.sweep()

        done = [(await world.get(one.id)).status for one in made]
        assert done.count(Status.COMPLETED) == 2
        await world.live(60)
        assert {(await world.get(one.id)).status for one in made} == {Status.COMPLETED}

    async def test_a_poll_that_cannot_be_written_keeps_no_other_from_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A look that the database refuses to write keeps none of the others from being written.
        """
        made = [await world.make(f"p-{number}") for number in range(3)]
        save = world.store.save

        async def refusing(before: Prototype, *given: Any, **more: Any) -> Any:
            if before.id == made[1].id:
                raise ConstraintBroken(ValueError("no"))
            return await save(tracked(before), *given, **more)

        monkeypatch.setattr(world.store, "save", refusing)
        world.clock.advance(GENERATION_SECONDS)
        await world.sweep()

        done = [(await world.get(one.id)).status for one in made]
        assert done == [Status.COMPLETED, Status.PENDING, Status.COMPLETED]
        before = world.calls()
        await world.sweep()
        assert world.calls() == before

    async def test_a_deletion_that_cannot_be_written_keeps_no_other_from_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        One deletion that cannot be written keeps none of the others from being made.
        """
        made = [await world.complete(f"p-{number}") for number in range(2)]
        world.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": 500, "times": 2}])
        for one in made:
            await world.keeper.delete(ANN, one.id)
        forget = world.store.delete

        async def refusing(prototype: Prototype, event: Any) -> bool:
            if prototype.id == made[0].id:
                raise ConstraintBroken(ValueError("no"))
            return await forget(tracked(prototype), event)

        monkeypatch.setattr(world.store, "delete", refusing)
        world.clock.advance(300)
        await world.keeper.finalize()

        with pytest.raises(NotFound):
            await world.keeper.get(ANN, made[1].id)


@both_versions
class TestPollsAfterHooks:
    async def test_a_chat_named_by_a_hook_is_read_beside_a_sweep(self, world: World) -> None:
        """
        What a hook names is read at once, also while a pass over the account is under way.
        """
        made = [await world.make(f"p-{number}") for number in range(4)]
        account = generation_of(made[0]).account
        await world.live(3)
        world.clock.advance(GENERATION_SECONDS)
        tracker = world.keeper._poller
        async with tracker._passes[account]:  # A pass that takes long.
            now = world.clock.now
            chats = [made[2].chat_id or ""]
            await world.store.poll_soon(account, chats, now, begun=False, later=now)
            async with asyncio.timeout(5):
                assert await world.keeper.track_hooked(account) == 1
            assert (await world.get(made[2].id)).status is Status.COMPLETED
            assert (await world.get(made[1].id)).status is Status.IN_PROGRESS
            assert await world.keeper.track_hooked(account) == 0
        history, _ = await world.keeper.history(await world.get(made[2].id))
        assert (history[-1]["status"], history[-1]["source"]) == ("completed", "hook")

    async def test_a_lost_last_hook_after_many_does_not_delay_the_poll_for_ever(self, world: World) -> None:
        """
        One message after the other begins in a chat, and the hook that tells its end is lost: it is looked at.
        """
        made = await world.make()
        account = generation_of(made).account
        for _ in range(30):
            now = world.clock.advance(5)
            later = now + world.timing.hooked_poll_interval
            await world.store.poll_soon(account, [made.chat_id or ""], now, begun=True, later=later)
            await world.sweep()

        assert (await world.get(made.id)).status is Status.COMPLETED

    async def test_a_poll_that_began_before_a_hook_does_not_forget_the_hook(self, world: World) -> None:
        """
        A look that began before the hook came, and saw nothing new, does not make the hook forgotten.
        """
        made = await world.make()
        account = generation_of(made).account
        await world.live(3)
        before = await world.get(made.id)
        now = world.clock.advance(GENERATION_SECONDS)
        await world.store.poll_soon(account, [made.chat_id or ""], now, begun=False, later=now)
        running = Observation(ObservedState.RUNNING, generation_of(before).message_id)
        late = polled(tracked(before), ChatShown(running), world.clock.advance(0.5), world.timing, batched=True)
        await world.store.record_polls([late])

        assert await world.keeper.track_hooked(account) == 1
        assert (await world.get(made.id)).status is Status.COMPLETED
