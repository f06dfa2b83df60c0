"""Creating once, whatever the builder does about it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, State, Status
from protokeep.sandbox import running
from tracked import generation_of
from world import World, both_versions, on_sqlite, until

CREATES = "chats.create*"


def reason_of(prototype: Prototype) -> tuple[str | None, str]:
    """Why a prototype is held up: code and words."""
    generation = generation_of(prototype)
    return generation.hold.code, generation.hold.message or ""


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that is taken and at which nobody listens. A port that was only free before is soon somebody else's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


class TestRefused:
    @both_versions
    @pytest.mark.parametrize(
        ("status", "code", "words"),
        [(401, "key_refused", "Set a key that v0 accepts"), (403, "refused", "403"), (422, "refused", "422")],
    )
    async def test_a_lasting_refusal_fails_the_prototype_after_one_call(
        self, world: World, status: int, code: str, words: str
    ) -> None:
        """
        A refusal that would be repeated fails the prototype, in the builder's words, after one call.
        """
        rule = {"operation": CREATES, "status": status, "message": "Said v0.", "times": None}
        world.sandbox.set_knobs(fail_next=[rule])

        made = await world.make()
        await world.live(60)

        made = await world.get(made.id)
        assert (made.status, generation_of(made).error.code) == (Status.FAILED, code)
        assert words in (generation_of(made).error.message or "")
        assert "Said v0." in (generation_of(made).error.message or "")
        assert (world.chats_created, world.creates) == (0, 1)
        assert "refused" in await world.kinds(made)

    async def test_a_create_after_a_mended_refusal_makes_one(self, world: World) -> None:
        """
        Once the reason is mended, the next request makes one.
        """
        world.sandbox.set_knobs(fail_next=[{"operation": CREATES, "status": 401}])
        first = await world.make()

        second = await world.make()

        assert (second.id != first.id, second.chat_id, world.chats_created) == (True, world.chat.id, 1)


class TestParked:
    async def test_a_create_without_credits_is_parked_and_goes_on(self, world: World) -> None:
        """
        402: the reason is shown, and it goes on by itself when the pause is over.
        """
        world.sandbox.set_knobs(fail_next=[{"operation": CREATES, "status": 402, "message": "Top up."}])

        made = await world.make()

        assert (made.status, made.state) == (Status.PENDING, State.PARKED)
        assert reason_of(made)[0] == "out_of_credits"
        assert "Top up." in reason_of(made)[1]
        await world.live(118, step=2)
        assert world.creates == 1
        await world.live(4, step=2)
        made = await world.get(made.id)
        assert (made.chat_id, made.state, world.creates) == (world.chat.id, State.MAKING, 2)
        assert reason_of(made) == (None, "")

    async def test_one_create_probes_an_account_without_credits(self, world: World) -> None:
        """
        While an account is out of credits nothing is sent for it; then one create probes, and the rest follow.
        """
        world.sandbox.set_knobs(fail_next=[{"operation": CREATES, "status": 402, "times": 2}])
        made = [await world.make(f"p-{number}") for number in range(5)]

        assert world.creates == 1
        assert {one.state for one in [await world.get(one.id) for one in made]} == {State.PARKED}
        await world.live(122, step=2)
        assert world.creates == 2
        await world.live(130, step=2)

        assert (world.creates, world.chats_created) == (2 + 5, 5)
        assert await world.orphans() == set()

    async def test_a_429_is_tried_again_when_retry_after_says_so(self, world: World) -> None:
        """
        429: tried again when `Retry-After` says so, and not before.
        """
        world.sandbox.set_knobs(fail_next=[{"operation": CREATES, "status": 429, "retry_after": 17}])

        made = await world.make()

        assert (made.state, reason_of(made)[0]) == (State.PARKED, "rate_limited")
        await world.live(16, step=1)
        assert world.creates == 1
        await world.live(3, step=1)
        assert (world.creates, world.chats_created) == (2, 1)

    async def test_an_unreachable_builder_is_tried_with_growing_pauses(
        self, world: World, silent: socket.socket
    ) -> None:
        """
        A refused connection sent nothing: tried again with growing pauses, and made once v0 is back.
        """
        port = silent.getsockname()[1]
        node = await world.node(base_url=f"http://127.0.0.1:{port}")

        ensured = await world.ensure()
        await node.keeper.submit(ensured.prototype.id)
        made = await world.get(ensured.prototype.id)
        assert (made.state, reason_of(made)[0]) == (State.PARKED, "unreachable")
        assert generation_of(made).submission.recovery_point is RecoveryPoint.CLAIMED
        pauses = []
        for _ in range(4):
            due = generation_of(made).submission.next_try_at
            assert due is not None
            pauses.append((due - world.clock.now).total_seconds())
            world.clock.now = due
            await node.sweep()
            made = await world.get(made.id)
        assert pauses[0] <= 2.4
        assert pauses[-1] > pauses[0]

        silent.close()
        async with running(world.sandbox, port=port):
            world.clock.advance(300)
            await node.sweep()

        assert (await world.get(made.id)).chat_id == world.chat.id
        assert world.chats_created == 1

    async def test_a_process_without_the_accounts_key_leaves_the_row_parked(self, world: World) -> None:
        """
        A process that has no key for a row's account leaves the row parked, for one that has.
        """
        ensured = await world.ensure()
        keyless = await world.node(key=None)
        await keyless.keeper.submit(ensured.prototype.id)

        parked = await world.get(ensured.prototype.id)
        assert (parked.state, reason_of(parked)[0]) == (State.PARKED, "no_key")
        world.clock.advance(61)
        await world.sweep()
        assert (await world.get(parked.id)).chat_id == world.chat.id


#: Ways in which v0 acts and the answer does not come back.
ACTED: dict[str, dict[str, Any]] = {
    "dropped": {"drop_next_answers": 1},
    "500": {"fail_after_acting": [{"operation": CREATES, "status": 500}]},
    "504": {"fail_after_acting": [{"operation": CREATES, "status": 504}]},
    "html": {"answer_next": [{"operation": CREATES, "acts": True, "body": "<html>", "content_type": "text/html"}]},
    "cut": {"answer_next": [{"operation": CREATES, "acts": True, "body": '{"id": "abc", "chatId":'}]},
    "no id": {"answer_next": [{"operation": CREATES, "acts": True, "body": "{}"}]},
    "redirect": {
        "answer_next": [{"operation": CREATES, "acts": True, "status": 302, "headers": {"location": "/v2/chats"}}]
    },
}
#: The same, where v0 did nothing.
NOT_ACTED: dict[str, dict[str, Any]] = {
    "dropped": {"drop_next": [{"operation": CREATES, "acts": False}]},
    "500": {"fail_next": [{"operation": CREATES, "status": 500}]},
    "503": {"fail_next": [{"operation": CREATES, "status": 503}]},
    "html": {"answer_next": [{"operation": CREATES, "body": "<html>", "content_type": "text/html"}]},
}


class TestOutcomeUnknown:
    @both_versions
    @pytest.mark.parametrize("knobs", ACTED.values(), ids=ACTED)
    async def test_a_create_that_acted_without_an_answer_is_adopted(self, world: World, knobs: dict[str, Any]) -> None:
        """
        v0 made it and its answer was lost: undecided, then found by its marker and adopted. Never a second one.
        """
        world.sandbox.set_knobs(**knobs)

        made = await world.make()
        assert (made.state, made.chat_id) == (State.UNDECIDED, None)
        await world.live(240)

        made = await world.get(made.id)
        assert (made.status, made.chat_id) == (Status.COMPLETED, world.chat.id)
        assert generation_of(made).error.code is None
        assert (world.chats_created, world.creates, await world.orphans()) == (1, 1, set())
        kinds = await world.kinds(made)
        assert kinds.index("undecided") < kinds.index("adopted")

    @pytest.mark.parametrize("knobs", NOT_ACTED.values(), ids=NOT_ACTED)
    async def test_a_create_that_did_not_act_is_resent_after_the_settle_time(
        self, world: World, knobs: dict[str, Any]
    ) -> None:
        """
        v0 made nothing: sent again, but only after the settle time and two look-ups.
        """
        world.sandbox.set_knobs(**knobs)

        made = await world.make()
        assert made.state is State.UNDECIDED
        assert generation_of(made).error.message
        await world.live(88, step=1)
        assert world.creates == 1
        await world.live(30, step=1)

        assert (world.chats_created, world.creates) == (1, 2)
        assert (await world.get(made.id)).chat_id == world.chat.id

    @both_versions
    async def test_a_lost_chat_is_found_among_others(self, world: World) -> None:
        """
        The lost one is found among chats that rows have and chats that nobody here made.
        """
        made = [await world.make(f"p-{number}") for number in range(4)]
        provider = world.first.context.providers.for_new()[0][1]
        for number in range(4):
            await provider.create(f"by hand {number}", {"protokeep_marker": f"of another installation {number}"})
        world.sandbox.set_knobs(drop_next_answers=1)

        lost = await world.make("p-lost", "The lost one")
        await world.live(60)

        found = await world.get(lost.id)
        assert world.sandbox.chats[found.chat_id or ""].message == "The lost one"
        assert (world.creates, len(await world.orphans())) == (len(made) + 4 + 1, 4)

    @both_versions
    async def test_a_chat_that_lists_lag_behind_is_found_before_resending(self, world: World) -> None:
        """
        A chat that lists show only a minute later is still found before anything is sent again.
        """
        world.sandbox.set_knobs(drop_next_answers=1, list_delay_seconds=75)

        made = await world.make()
        await world.live(200)

        assert (await world.get(made.id)).chat_id == world.chat.id
        assert (world.chats_created, world.creates) == (1, 1)

    async def test_nothing_is_sent_while_nobody_can_look(self, world: World) -> None:
        """
        As long as nobody can look, nothing is sent, however long that takes.
        """
        world.sandbox.set_knobs(drop_next_answers=1)
        made = await world.make()
        world.sandbox.set_knobs(fail_next=[{"status": 503, "times": None}])

        await world.live(900, step=10)
        assert (world.creates, (await world.get(made.id)).state) == (1, State.UNDECIDED)
        world.sandbox.set_knobs(fail_next=[])
        await world.live(400, step=10)

        assert (await world.get(made.id)).chat_id == world.chat.id
        assert (world.chats_created, world.creates) == (1, 1)

    async def test_requests_meanwhile_get_the_undecided_one(self, world: World) -> None:
        """
        Everybody who asks meanwhile gets the undecided one, with a reason, and nothing is sent for them.
        """
        world.sandbox.set_knobs(drop_next_answers=1)
        made = await world.make()

        for _ in range(3):
            again = await world.ensure()
            assert (again.prototype.id, again.is_existing) == (made.id, True)
        assert (await world.status()).state is State.UNDECIDED
        assert world.creates == 1

    async def test_three_creates_without_an_answer_pause_the_account(self, world: World) -> None:
        """
        After three creates in a row without an answer, the account rests instead of making more of them.
        """
        world.sandbox.set_knobs(fail_next=[{"operation": CREATES, "status": 500, "times": None}])

        made = [await world.make(f"p-{number}") for number in range(6)]

        assert world.creates == 3
        states = [(await world.get(one.id)).state for one in made]
        assert states == [State.UNDECIDED] * 3 + [State.PARKED] * 3
        world.sandbox.set_knobs(fail_next=[])
        await world.live(400, step=5)
        assert (world.chats_created, await world.orphans()) == (6, set())
        assert {(await world.get(one.id)).status for one in made} == {Status.COMPLETED}

    @on_sqlite
    async def test_a_second_chat_with_our_marker_is_shown_as_a_surplus(self, world: World) -> None:
        """
        Should a second chat with our marker show up, it is shown as a surplus, not hidden and not forgotten.
        """
        world.sandbox.set_knobs(drop_next_answers=1)
        made = await world.make()
        provider = world.first.context.providers.for_new()[0][1]
        second = await provider.create("the same again", dict(world.chat.metadata))

        await world.live(30)

        made = await world.get(made.id)
        _, surplus = await world.keeper.history(made)
        assert {made.chat_id, *surplus} == set(world.sandbox.chats)
        assert second.chat_id in {made.chat_id, *surplus}
        assert "surplus" in await world.kinds(made)
        assert await world.orphans() == set()


class TestCrashes:
    @both_versions
    @pytest.mark.parametrize(
        "point",
        ["before_take", "before_sent", "after_sent", "after_call", "after_record"],
    )
    async def test_another_process_takes_a_crashed_create_to_its_end(self, world: World, point: str) -> None:
        """
        Wherever a process ends, another one takes the row to its end, and v0 made one chat.
        """
        ensured = await world.ensure()
        world.first.crash_at(point)
        with pytest.raises(BaseException, match=point):
            await world.work()
        other = await world.node()

        for _ in range(60):
            world.clock.advance(3)
            await other.sweep()

        made = await world.get(ensured.prototype.id)
        assert (made.status, made.chat_id) == (Status.COMPLETED, world.chat.id)
        assert (world.chats_created, await world.orphans()) == (1, set())

    async def test_a_crash_before_the_claim_leaves_nothing_and_after_it_a_row(self, world: World) -> None:
        """
        A process that ends before its claim left nothing; one that ends after it left a row that goes on.
        """
        for point, rows in (("before_claim", 0), ("after_claim", 1)):
            world.first.crash_at(point)
            with pytest.raises(BaseException, match=point):
                await world.ensure()
            assert len(await world.rows("SELECT id FROM design_mockups")) == rows
        other = await world.node()

        await other.sweep()

        assert world.chats_created == 1

    async def test_two_workers_with_one_row_send_it_once(self, world: World) -> None:
        """
        Two workers with the same row: one holds it, the other does nothing.
        """
        ensured = await world.ensure()
        other = await world.node()

        await world.keeper.submit(ensured.prototype.id)
        await other.keeper.submit(ensured.prototype.id)
        await other.keeper.submit("00000000-0000-4000-8000-00000000dead")

        assert (world.chats_created, world.creates) == (1, 1)

    async def test_a_row_whose_create_is_under_way_is_left_alone(self, world: World) -> None:
        """
        As long as one worker waits for v0's answer, another one leaves the row alone, and does not even look.
        """
        ensured = await world.ensure()
        other = await world.node()
        world.sandbox.set_knobs(hold_creates=True)
        sending = asyncio.create_task(world.work())
        await until(lambda: world.sandbox.held_requests == 1)
        held = await world.get(ensured.prototype.id)

        await other.keeper.submit(held.id)
        await other.sweep()

        assert (await world.get(held.id), world.calls()) == (held, 1)
        world.sandbox.set_knobs(hold_creates=False)
        await sending
        assert (world.chats_created, world.creates) == (1, 1)
