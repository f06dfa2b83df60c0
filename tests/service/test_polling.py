"""Followed to the end: true, shared, and never backwards."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from protokeep.core.errors import NotFound
from protokeep.core.prototype import Observation, ObservedState, State, Status, advance
from protokeep.web.pages.presenters import note_of
from tracked import generation_of, tracked
from world import ANN, GENERATION_SECONDS, World, both_versions, on_sqlite, quick, until


def looks(world: World) -> int:
    """Calls to v0 that were no creates."""
    return world.calls() - world.creates


@both_versions
class TestToTheEnd:
    async def test_a_prototype_completes_by_itself_and_then_costs_nothing(self, world: World) -> None:
        """
        Nobody asks, and it is completed all the same; it has something to open, and then costs nothing more.
        """
        made = await world.make()
        await world.live(GENERATION_SECONDS + 15)  # Nobody watches: v2 is looked at less often with age.

        done = await world.get(made.id)
        assert (done.status, done.state) == (Status.COMPLETED, State.READY)
        assert (done.project_url or "").startswith(world.v0_url)
        assert generation_of(done).settled_at == done.updated_at
        before = world.calls()
        await world.live(600, step=30)
        assert world.calls() == before

    async def test_a_running_prototype_is_in_progress_whatever_its_url(self, world: World) -> None:
        """
        While v0 generates, it is in progress and says so; a URL that is there from the start completes nothing.
        """
        made = await world.make()
        await world.live(6)

        going = await world.get(made.id)
        assert (going.status, going.state) == (Status.IN_PROGRESS, State.MAKING)
        assert generation_of(going).polling.poll_count >= 1
        assert generation_of(going).polling.observed_at is not None

    @pytest.mark.parametrize("reason", ["error", "content-filter"])
    async def test_a_failure_at_v0_is_failed_with_its_reason(self, world: World, reason: str) -> None:
        """
        What v0 gave up is failed, with a reason in words.
        """
        world.sandbox.set_knobs(finish_reason=reason)
        done = await world.complete()

        assert (done.status, done.state) == (Status.FAILED, State.FAILED)
        assert generation_of(done).error.code in ("builder_error", "content_filter")
        assert generation_of(done).error.message
        assert done.is_current

    async def test_a_question_of_the_builder_waits_until_it_is_answered(self, world: World) -> None:
        """
        A builder that waits for an answer is in progress and said to wait; once answered it goes on to the end.
        """
        world.sandbox.set_knobs(finish_reason="tool-calls")
        made = await world.complete()

        assert (made.status, made.state) == (Status.IN_PROGRESS, State.WAITING)
        assert generation_of(made).hold.code == "waiting_for_answer"
        await world.live(60, step=10)
        assert (await world.status()).state is State.WAITING

    async def test_a_question_that_nobody_answers_stays_a_question(self, world: World) -> None:
        """
        A question that nobody answers for a day is still one, for chip and card, and never turns into a timeout.
        """
        world.sandbox.set_knobs(finish_reason="tool-calls")
        made = await world.make()

        for _ in range(2):
            await world.live(13 * 3600, step=1800)
            waits = await world.get(made.id)
            assert (waits.status, waits.state) == (Status.IN_PROGRESS, State.WAITING)
            assert "asked a question" in str(note_of(waits, world.clock.now))

    async def test_the_history_of_a_prototype_is_in_order_with_people(self, world: World) -> None:
        """
        What happened can be read, in order, with who asked.
        """
        made = await world.complete()

        assert (await world.kinds(made))[:3] == ["claimed", "sent", "accepted"]
        history, _ = await world.keeper.history(made)
        assert (history[0]["actor"], history[0]["source"]) == ("ann", "person")
        assert history[-1]["status"] == "completed"
        assert [row["happened_at"] for row in history] == sorted(row["happened_at"] for row in history)


class TestStatus:
    async def test_asking_for_a_status_makes_nothing(self, world: World) -> None:
        """
        The status of a product without prototypes is "not found", and asking for it makes nothing.
        """
        with pytest.raises(NotFound, match="create-project"):
            await world.status("p-1")

        assert (world.calls(), await world.rows("SELECT id FROM design_mockups")) == (0, [])

    @both_versions
    async def test_a_status_older_than_the_poll_interval_is_refreshed(self, world: World) -> None:
        """
        An answer older than the poll interval is refreshed; a younger one costs nothing.
        """
        await world.make()
        await world.live(3)
        before = looks(world)

        for _ in range(5):
            await world.status()
        assert looks(world) == before
        world.clock.advance(3)
        await world.status()
        assert looks(world) == before + 1

    @both_versions
    async def test_fifty_viewers_at_once_cost_one_poll(self, world: World) -> None:
        """
        Fifty viewers at once cost one look, and all see what it brought.
        """
        await world.make()
        world.clock.advance(GENERATION_SECONDS)
        before = looks(world)

        seen = await asyncio.gather(*(world.status() for _ in range(50)))

        assert {one.status for one in seen} == {Status.COMPLETED}
        assert looks(world) - before == 1

    async def test_viewers_of_other_processes_join_the_trackers_poll(self, world: World) -> None:
        """
        Viewers of other processes join the look of the one that tracks.
        """
        await world.make()
        nodes = [world.first, *[await world.node() for _ in range(2)]]
        world.clock.advance(GENERATION_SECONDS)
        before = looks(world)

        seen = await asyncio.gather(*(node.keeper.status(ANN, "p-1", "v0") for node in nodes for _ in range(5)))

        assert looks(world) - before <= len(nodes)
        assert Status.COMPLETED in {one.status for one in seen}

    async def test_while_v0_is_down_the_known_status_is_answered(self, world: World) -> None:
        """
        When v0 cannot be asked, the answer is what is known, with the time it was said.
        """
        made = await world.make()
        await world.live(3)
        known = await world.get(made.id)
        world.sandbox.set_knobs(down=True)
        world.clock.advance(60)

        told = await world.status()

        assert (told.status, told.chat_id) == (known.status, known.chat_id)
        assert generation_of(told).polling.observed_at == generation_of(known).polling.observed_at
        world.sandbox.set_knobs(down=False)
        world.clock.advance(3)
        assert (await world.status()).status is Status.COMPLETED

    async def test_no_prototype_of_an_unknown_provider_names_the_known_ones(self, world: World) -> None:
        """
        A provider that neither protokeep nor the table knows has no prototype, and the words name those that may have.
        """
        with pytest.raises(NotFound, match="protokeep makes prototypes at: v0"):
            await world.keeper.status(ANN, "p-1", "figma")

    @on_sqlite
    async def test_a_waiting_status_is_answered_when_the_state_changes(self, world: World) -> None:
        """
        With `wait` the answer comes when the state changes.
        """
        await world.make()
        await world.live(3)
        waiting = asyncio.create_task(world.status(wait=20))
        await until(lambda: bool(world.first.context.bus._by_mockup))
        world.clock.advance(GENERATION_SECONDS)

        await world.sweep()

        async with asyncio.timeout(5):
            assert (await waiting).status is Status.COMPLETED

    @on_sqlite
    async def test_a_waiting_status_is_answered_at_the_end_of_its_wait(self, world: World) -> None:
        """
        When nothing changes the answer comes at the end of the wait.
        """
        await world.make()
        began = asyncio.get_running_loop().time()

        told = await world.status(wait=0.2)

        assert told.status in (Status.PENDING, Status.IN_PROGRESS)
        assert 0.2 <= asyncio.get_running_loop().time() - began < 2


class TestTimeout:
    @both_versions
    async def test_a_timed_out_prototype_may_complete_late(self, world: World) -> None:
        """
        After ten minutes it is `timeout`; slow looks go on, and one of them completes it.
        """
        with world.knobs(generation_seconds=900):
            made = await world.make()
        await world.live(597, step=20)
        assert (await world.get(made.id)).status is Status.IN_PROGRESS

        await world.live(6)
        timed_out = await world.get(made.id)
        assert (timed_out.status, timed_out.state) == (Status.TIMEOUT, State.TIMED_OUT)
        assert generation_of(timed_out).error.code == "timeout"
        before = looks(world)
        await world.live(900, step=10)

        done = await world.get(made.id)
        assert (done.status, generation_of(done).error.code) == (Status.COMPLETED, None)
        assert looks(world) - before < 20
        assert world.chats_created == 1

    async def test_a_status_request_settles_a_timeout_at_any_time(self, world: World) -> None:
        """
        Any status request may settle it, long after the slow looks have ended.
        """
        with world.knobs(generation_seconds=100_000):
            made = await world.make()
        await world.live(606)
        world.clock.advance(25 * 3600)
        await world.sweep()
        assert (await world.get(made.id)).status is Status.TIMEOUT
        world.clock.advance(100_000)
        before = looks(world)
        await world.sweep()
        assert looks(world) == before

        assert (await world.status()).status is Status.COMPLETED

    @both_versions
    async def test_watching_costs_200_polls_in_ten_minutes(self, world: World) -> None:
        """
        Somebody who watches costs 200 polls in ten minutes, every 3 s, and no more.
        """
        with world.knobs(generation_seconds=10_000):
            made = await world.make()
        before = looks(world)
        for _ in range(202):
            world.clock.advance(3)
            await world.status()

        polls = generation_of(await world.get(made.id)).polling.poll_count
        assert (await world.get(made.id)).status is Status.TIMEOUT
        assert 199 <= polls <= 203
        assert looks(world) - before <= polls + 3

    @on_sqlite
    async def test_the_timeout_may_be_fifteen_minutes(self, world: World) -> None:
        """
        The budget can be fifteen minutes.
        """
        world.first.context.timing = quick(poll_timeout=timedelta(seconds=900))
        with world.knobs(generation_seconds=890):
            made = await world.make()

        await world.live(700, step=20)
        assert (await world.get(made.id)).status is Status.IN_PROGRESS
        await world.live(200, step=20)

        assert (await world.get(made.id)).status is Status.COMPLETED


class TestGone:
    @both_versions
    async def test_a_fresh_chat_that_reads_as_404_is_not_gone(self, world: World) -> None:
        """
        A fresh chat that reads as 404 for a moment is not gone.
        """
        made = await world.make()
        if world.api_version == 1:  # Its list does not show it, and reading it fails.
            world.sandbox.set_knobs(
                answer_next=[{"operation": "chats.find", "body": '{"object": "list", "data": []}'}],
                fail_next=[{"operation": "chats.getById", "status": 404}],
            )
        else:
            world.sandbox.set_knobs(fail_next=[{"status": 404}])

        await world.live(GENERATION_SECONDS + 30)

        assert (await world.get(made.id)).status is Status.COMPLETED

    @both_versions
    async def test_a_chat_deleted_while_it_was_made_is_gone_and_replaced(self, world: World) -> None:
        """
        A chat that was seen and stays missing is gone: failed, with a reason, and the next request makes a new one.
        """
        with world.knobs(generation_seconds=100_000):
            other, made = await world.make("p-2"), await world.make()
        await world.live(660, step=20)
        world.sandbox.delete(made.chat_id or "")
        assert other.chat_id != made.chat_id

        await world.live(600, step=20)

        gone = await world.get(made.id)
        assert (gone.status, generation_of(gone).error.code) == (Status.FAILED, "gone")
        again = await world.make()
        assert (again.id != made.id, world.chats_created) == (True, 3)

    async def test_an_outage_is_no_deletion(self, world: World) -> None:
        """
        However long v0 is away or refuses the key, nothing counts as gone.
        """
        made = await world.make()
        world.sandbox.set_knobs(fail_next=[{"status": 401, "times": None}])
        await world.live(60)
        world.sandbox.set_knobs(fail_next=[], down=True)
        await world.live(60)
        world.sandbox.set_knobs(down=False)
        await world.live(60)

        assert (await world.get(made.id)).status is Status.COMPLETED


class TestSharing:
    async def test_three_processes_poll_as_often_as_one(self, world: World) -> None:
        """
        Three processes look as often as one.
        """
        await world.make()
        nodes = [world.first, await world.node(), await world.node()]
        before = looks(world)

        for _ in range(3):
            world.clock.advance(3)
            for node in nodes:
                await node.sweep()

        assert looks(world) - before == 3

    async def test_a_killed_tracker_is_replaced_within_ten_seconds(self, world: World) -> None:
        """
        When the process that tracks is killed, another one tracks within ten seconds.
        """
        made = await world.make()
        await world.live(3)
        other = await world.node()
        world.clock.advance(3)
        await other.sweep()
        assert await other.keeper.track(generation_of(made).account) is None
        assert generation_of(await world.get(made.id)).polling.poll_count == 1

        for _ in range(3):
            world.clock.advance(2)
            await other.sweep()

        assert generation_of(await world.get(made.id)).polling.poll_count >= 2
        assert world.timing.lease <= timedelta(seconds=8)

    async def test_a_stopping_tracker_hands_over_at_once(self, world: World) -> None:
        """
        A process that stops in good order hands over at once.
        """
        made = await world.make()
        await world.live(3)
        other = await world.node()
        await world.keeper.release(generation_of(made).account)

        world.clock.advance(3)
        await other.sweep()

        assert generation_of(await world.get(made.id)).polling.poll_count == 2

    @both_versions
    async def test_a_429_pauses_all_polls_of_the_account(self, world: World) -> None:
        """
        429 on a look pauses all looks of the account for as long as v0 asks.
        """
        made = [await world.make(f"p-{number}") for number in range(3)]
        world.sandbox.set_knobs(fail_next=[{"status": 429, "retry_after": 60}])
        await world.live(3)
        before = looks(world)

        await world.live(54)
        assert looks(world) == before
        await world.live(9)

        assert {(await world.get(one.id)).status for one in made} == {Status.COMPLETED}

    @both_versions
    async def test_pauses_that_v0_asks_for_time_nothing_out(self, world: World) -> None:
        """
        v0 asks for one short pause after another for longer than a poll clock runs: nobody looked, nothing timed out.
        """
        made = await world.make()
        with world.knobs(fail_next=[{"status": 429, "retry_after": 20, "times": None}]):
            await world.live(1500, step=5)
            assert (await world.get(made.id)).status in (Status.PENDING, Status.IN_PROGRESS)

        await world.live(30)

        assert (await world.get(made.id)).status is Status.COMPLETED

    async def test_seventy_running_prototypes_complete_once_each(self, world: World) -> None:
        """
        Seventy in flight all complete, and v0 is called for each once.
        """
        node = await world.node(immediate=True)
        for number in range(70):
            await world.ensure(f"p-{number}")
        await world.work()
        assert world.chats_created == 70
        world.clock.advance(GENERATION_SECONDS)
        before = looks(world)

        await node.sweep()
        await world.sweep()

        counted = await world.rows("SELECT count(*) AS n FROM design_mockups WHERE project_status = 'completed'")
        assert (counted[0]["n"], looks(world) - before) == (70, 70)

    @on_sqlite
    @pytest.mark.parametrize("api_version", [1])
    async def test_v1_polls_130_chats_in_three_calls(self, world: World) -> None:
        """
        v1 reports sixty chats in a call: a sweep over 130 takes three.
        """
        for number in range(130):
            await world.ensure(f"p-{number}")
        await world.work()
        world.clock.advance(GENERATION_SECONDS)
        before = looks(world)

        await world.sweep()

        counted = await world.rows("SELECT count(*) AS n FROM design_mockups WHERE project_status = 'completed'")
        assert (counted[0]["n"], looks(world) - before) == (130, 3)


@on_sqlite
class TestLateNews:
    async def test_a_poll_that_comes_back_late_moves_nothing_backwards(self, world: World) -> None:
        """
        A look that was under way while another one settled it moves nothing backwards.
        """
        made = await world.make()
        await world.live(3)
        other = await world.node()
        world.clock.advance(GENERATION_SECONDS)
        old = await world.get(made.id)
        await world.sweep()
        done = await world.get(made.id)
        assert done.status is Status.COMPLETED

        # What the late look would write, whether it saw something new or not, is of an old version: refused.
        for seen in (ObservedState.RUNNING, ObservedState.WAITING, ObservedState.BROKE):
            late = advance(tracked(old), Observation(seen), world.clock.now)
            assert await other.store.save(tracked(old), late) is None

        assert (await world.get(made.id)) == done
