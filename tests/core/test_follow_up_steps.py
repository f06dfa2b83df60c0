"""Follow-ups, deletions, stops and links: every step as a change of a value."""

from __future__ import annotations

from typing import Any

import pytest

from factories import NOW, after, prototype, untracked
from protokeep.core import deletion, links
from protokeep.core import follow_up as rounds
from protokeep.core.conversation import Conversation, Message
from protokeep.core.errors import ProviderError
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Observation, ObservedState, State, Status, TrackedPrototype, advance
from protokeep.core.timing import Timing
from tracked import generation_of

PACE = Timing()
CLAIMED, SENT, ACCEPTED, SETTLED = RecoveryPoint
MADE, IN_PROGRESS, FAILED, TIMEOUT = Status.COMPLETED, Status.IN_PROGRESS, Status.FAILED, Status.TIMEOUT
DEMO, WEB = "https://demo.example/1", "https://v0.example/chat/1"


def ready(**values: Any) -> TrackedPrototype:
    """One that is done."""
    given = {"recovery_point": SETTLED, "message_id": "m-1", "settled_at": after(30), "observed_at": after(30)}
    return prototype(MADE, **{**given, **values})


def waiting(**values: Any) -> TrackedPrototype:
    """One whose builder has asked a question."""
    given = {"awaiting_input": True, "message_id": "m-1", "hold_code": "question", "hold_message": "Which colour?"}
    return prototype(IN_PROGRESS, **{**given, **values})


def conversation(previous_message_id: str | None, newest_message_id: str | None) -> Conversation:
    """A chat as it is read before a message is sent."""
    newest = [] if newest_message_id is None else [Message(newest_message_id, "assistant", "Done.")]
    return Conversation(newest, previous_message_id, whole=True)


def asked(one: TrackedPrototype | None = None) -> TrackedPrototype:
    """One whose follow-up is claimed, a while after it was made."""
    return rounds.requested(one or ready(), "Make it blue", after(100))


class TestWhyNot:
    @pytest.mark.parametrize("status", [MADE, FAILED, TIMEOUT])
    def test_a_ready_failed_or_timed_out_prototype_takes_a_message(self, status: Status) -> None:
        """
        What is ready, has failed or timed out goes on with a message.
        """
        assert rounds.follow_up_blocked_reason(prototype(status)) is None

    def test_a_prototype_that_waits_for_an_answer_takes_a_message(self) -> None:
        """
        What waits for an answer takes one, though it is not done.
        """
        assert rounds.follow_up_blocked_reason(waiting()) is None

    @pytest.mark.parametrize(
        ("one", "words"),
        [
            (untracked(MADE), "once the app builder has started"),
            (prototype(MADE, chat_id=None), "once the app builder has started"),
            (ready(deletion_requested_at=NOW), "being deleted"),
            (ready(recovery_point=CLAIMED, turn=2), "has not reached"),
            (ready(recovery_point=SENT, turn=2), "has not reached"),
            (prototype(FAILED, error_code="gone"), "no longer exists"),
            (prototype(IN_PROGRESS), "still being generated"),
            (prototype(Status.PENDING), "still being generated"),
        ],
        ids=["untracked", "no chat", "deleting", "claimed", "sent", "gone", "in progress", "pending"],
    )
    def test_a_prototype_that_cannot_take_a_message_says_why(self, one: TrackedPrototype, words: str) -> None:
        """
        Whatever cannot take a message now says why.
        """
        assert words in (rounds.follow_up_blocked_reason(one) or "")

    def test_a_delivered_follow_up_that_is_done_makes_room_for_the_next(self) -> None:
        """
        A round whose message the builder has is no obstacle once it is done.
        """
        assert rounds.follow_up_blocked_reason(ready(turn=2)) is None


class TestAsked:
    def test_a_claimed_follow_up_may_be_sent_at_once_and_polling_rests(self) -> None:
        """
        The message is ours to send, at once, as the first try of another round; looks rest meanwhile.
        """
        one = asked(
            ready(attempts=3, lookups=2, outcome_unknown=True, sent_at=NOW, baseline_message_id="x", next_poll_at=NOW)
        )
        generation = generation_of(one)

        assert (generation.submission.recovery_point, generation.follow_up.turn, generation.follow_up.message) == (
            CLAIMED,
            2,
            "Make it blue",
        )
        assert (
            generation.submission.attempts,
            generation.submission.lookups,
            generation.submission.outcome_unknown,
        ) == (0, 0, False)
        assert (
            generation.submission.sent_at,
            generation.follow_up.baseline_message_id,
            generation.submission.lease_until,
        ) == (None, None, None)
        assert (generation.follow_up.requested_at, generation.submission.next_try_at, one.updated_at) == (
            after(100),
        ) * 3
        assert generation.polling.next_poll_at is None

    def test_a_claimed_follow_up_keeps_the_status_and_clears_the_hold(self) -> None:
        """
        Its status stays, what held it up before is over, and it is not wrapped up.
        """
        one = asked(ready(finalize_at=NOW, hold_code="follow_up_refused", hold_message="No.", lease_until=NOW))
        generation = generation_of(one)

        assert (one.status, one.state) == (MADE, State.QUEUED)
        assert (generation.finalize_at, generation.hold.code, generation.hold.message) == (None, None, None)

    def test_a_poll_of_the_earlier_message_does_not_end_the_new_turn(self) -> None:
        """
        What the builder says about the message that is known now does not end the new round.
        """
        begun = rounds.follow_up_accepted(
            asked(), message_id=None, observation=None, now=after(101), timing=PACE, batched=False
        )

        late = Observation(ObservedState.FINISHED, message_id="m-1")
        assert generation_of(begun).follow_up.previous_message_id == "m-1"
        assert advance(begun, late, after(102)).status is IN_PROGRESS


class TestSending:
    def test_the_last_message_of_the_chat_is_recorded_before_the_call(self) -> None:
        """
        Before the call it is written down after which message ours comes; an empty chat has none.
        """
        one = generation_of(rounds.about_to_send_follow_up(asked(), after(110), PACE, conversation("m-9", "b-9")))
        empty = generation_of(rounds.about_to_send_follow_up(asked(), after(110), PACE, conversation(None, None)))

        assert (one.submission.recovery_point, one.submission.attempts, one.submission.sent_at) == (SENT, 1, after(110))
        assert (one.follow_up.previous_message_id, one.follow_up.baseline_message_id) == ("m-9", "b-9")
        assert (empty.follow_up.previous_message_id, empty.follow_up.baseline_message_id) == ("m-1", "")


class TestContinued:
    def sent(self, **values: Any) -> TrackedPrototype:
        old = {"error_code": "stopped", "error_message": "It was stopped.", "missing_since": NOW, "broken_since": NOW}
        return rounds.about_to_send_follow_up(
            asked(ready(**{**old, **values})), after(110), PACE, conversation(None, "b-1")
        )

    def begun(self, seen: Observation | None = None, *, batched: bool = False) -> TrackedPrototype:
        return rounds.follow_up_accepted(
            self.sent(), message_id="m-2", observation=seen, now=after(120), timing=PACE, batched=batched
        )

    def test_a_delivered_follow_up_starts_a_turn_with_its_own_poll_clock(self) -> None:
        """
        In progress again, with a poll clock of its own, and nothing left of what had ended before.
        """
        one = self.begun()
        generation = generation_of(one)

        assert (one.status, one.state, generation.submission.recovery_point) == (IN_PROGRESS, State.MAKING, ACCEPTED)
        assert (generation.message_id, generation.polling.deadline_at) == ("m-2", after(120) + PACE.poll_timeout)
        assert (generation.error.code, generation.error.message, generation.submission.outcome_unknown) == (
            None,
            None,
            False,
        )
        assert (generation.submission.lease_until, generation.submission.next_try_at) == (None, None)
        assert (generation.settled_at, generation.finalize_at) == (None, None)
        assert (generation.absence.missing_since, generation.links.broken_since) == (None, None)

    def test_a_delivered_follow_up_is_polled_after_the_poll_interval(self) -> None:
        """
        The next look comes after the poll interval, or a little later where each chat is read by itself.
        """
        assert generation_of(self.begun(batched=True)).polling.next_poll_at == after(123)
        due = generation_of(self.begun()).polling.next_poll_at
        assert due is not None
        assert after(123) <= due <= after(130)

    def test_what_the_builder_says_with_its_answer_to_a_message_counts(self) -> None:
        """
        What the builder said with its answer counts.
        """
        one = self.begun(Observation(ObservedState.FINISHED, message_id="m-2"))

        assert (one.status, generation_of(one).settled_at) == (MADE, after(120))
        assert generation_of(one).polling.next_poll_at is None


class TestTurnedDown:
    error = ProviderError("Too long.", code="refused")

    def test_a_refused_follow_up_leaves_a_ready_prototype_ready(self) -> None:
        """
        What was ready is ready still, says what was refused, and takes the next message.
        """
        sent = rounds.about_to_send_follow_up(asked(), after(110), PACE, conversation(None, "b-1"))

        one = rounds.rejected(sent, self.error, after(111), PACE, batched=False)
        generation = generation_of(one)

        assert (one.status, one.state, generation.submission.recovery_point) == (MADE, State.READY, SETTLED)
        assert (generation.hold.code, "Too long." in (generation.hold.message or "")) == ("follow_up_refused", True)
        assert (
            generation.submission.outcome_unknown,
            generation.submission.lease_until,
            generation.submission.next_try_at,
        ) == (False, None, None)
        assert (
            generation.follow_up.previous_message_id,
            generation.follow_up.baseline_message_id,
            generation.polling.next_poll_at,
        ) == (
            None,
            None,
            None,
        )
        assert one.updated_at == after(111)
        assert rounds.follow_up_blocked_reason(one) is None

    @pytest.mark.parametrize("batched", [True, False])
    def test_a_refused_answer_leaves_a_waiting_prototype_polled_as_before(self, batched: bool) -> None:
        """
        Where the builder still waits for an answer, a refused one changes nothing: it is looked at as before.
        """
        sent = rounds.about_to_send_follow_up(asked(waiting()), after(110), PACE, conversation(None, "b-1"))

        one = rounds.rejected(sent, self.error, after(111), PACE, batched=batched)
        generation = generation_of(one)

        assert (one.status, one.state, generation.submission.recovery_point) == (IN_PROGRESS, State.WAITING, ACCEPTED)
        assert generation.polling.next_poll_at is not None
        assert after(111) < generation.polling.next_poll_at <= after(111) + PACE.max_poll_interval
        assert rounds.follow_up_blocked_reason(one) is None


def test_an_abandoned_follow_up_is_neither_retried_nor_held() -> None:
    """
    A chat that is gone has nothing to send to: nothing is tried any more, and nothing holds it up.
    """
    sent = rounds.about_to_send_follow_up(
        asked(ready(hold_code="rate_limited")), after(110), PACE, conversation(None, "b-1")
    )

    generation = generation_of(rounds.abandoned(sent))

    assert (generation.submission.recovery_point, generation.submission.outcome_unknown) == (SETTLED, False)
    assert (generation.submission.lease_until, generation.submission.next_try_at) == (None, None)
    assert (generation.hold.code, generation.hold.message) == (None, None)


class TestRemoving:
    def test_deleting_a_made_prototype_ends_its_polling_and_its_slot(self) -> None:
        """
        It is deleted at once: looked at no more, current no more, held by nobody.
        """
        one = deletion.deletion_requested(
            ready(next_poll_at=NOW, finalize_at=NOW, lease_until=NOW, hold_code="x"), after(50)
        )
        generation = generation_of(one)

        assert (one.state, one.is_current, one.updated_at) == (State.DELETING, False, after(50))
        assert (generation.deletion_requested_at, generation.submission.next_try_at) == (after(50), after(50))
        assert (generation.submission.recovery_point, generation.submission.lease_until) == (SETTLED, None)
        assert (generation.polling.next_poll_at, generation.finalize_at) == (None, None)
        assert (generation.hold.code, generation.hold.message) == (None, None)

    def test_deleting_takes_back_a_follow_up_that_was_not_sent(self) -> None:
        """
        Deleting one whose message waits takes the message back.
        """
        one = deletion.deletion_requested(asked(), after(150))

        assert not generation_of(one).follow_up_pending

    @pytest.mark.parametrize("point", [CLAIMED, SENT])
    def test_deleting_an_undecided_create_keeps_it_until_it_is_decided(self, point: RecoveryPoint) -> None:
        """
        Without a chat it keeps its place in a create, and whoever holds it keeps it.
        """
        held = prototype(
            Status.PENDING, chat_id=None, recovery_point=point, lease_until=after(60), next_try_at=after(90)
        )
        one = deletion.deletion_requested(held, after(50))
        generation = generation_of(one)

        assert (generation.submission.recovery_point, generation.submission.lease_until) == (point, after(60))
        assert generation.submission.next_try_at == (after(90) if point is SENT else after(50))

    def test_a_failed_deletion_says_why_and_has_one_next_try(self) -> None:
        """
        What the builder did not delete says why, and is tried once more at the time that was given.
        """
        one = deletion.deletion_failed(
            deletion.deletion_requested(ready(attempts=1), after(50)),
            ProviderError("No.", code="server_error"),
            after(58),
        )
        generation = generation_of(one)

        assert (generation.submission.attempts, generation.submission.next_try_at, generation.hold.code) == (
            2,
            after(58),
            "server_error",
        )
        assert "No." in (generation.hold.message or "")
        assert one.state is State.DELETING


def test_a_stopped_prototype_has_failed_is_not_polled_and_takes_a_message() -> None:
    """
    What was stopped has failed with that reason, is not looked at, and takes a message.
    """
    one = rounds.stopped(prototype(IN_PROGRESS, next_poll_at=NOW), after(20), "ann")

    assert (one.status, generation_of(one).error.code) == (FAILED, "stopped")
    assert (generation_of(one).polling.next_poll_at, generation_of(one).settled_at) == (None, after(20))
    assert rounds.follow_up_blocked_reason(one) is None


class TestLinks:
    def one(self, **values: Any) -> TrackedPrototype:
        return ready(**{"demo_url": DEMO, "web_url": WEB, "project_url": DEMO, **values})

    def test_a_preview_that_opens_changes_nothing(self) -> None:
        """
        A preview that opens changes nothing.
        """
        one = self.one()
        assert links.links_checked(one, True, after(60), PACE) is one

    @pytest.mark.parametrize("opens", [None, False])
    def test_a_link_check_without_answer_or_link_changes_nothing(self, opens: bool | None) -> None:
        """
        Without an answer, or without a link, nothing is known and nothing changes.
        """
        one = self.one() if opens is None else self.one(demo_url=None, project_url=WEB)
        assert links.links_checked(one, opens, after(60), PACE) is one

    def test_a_preview_that_opens_again_is_shown_again(self) -> None:
        """
        One that was taken down and opens again is shown again.
        """
        down = self.one(demo_url=None, broken_url=DEMO, broken_since=after(60), project_url=WEB)

        back = links.links_checked(down, True, after(200), PACE)

        assert (back.project_url, generation_of(back).links.demo_url) == (DEMO, DEMO)
        assert (generation_of(back).links.broken_url, generation_of(back).links.broken_since) == (None, None)

    def test_the_first_404_of_a_new_link_is_its_first(self) -> None:
        """
        A 404 of a new link is its first one, whatever the one before had.
        """
        other = self.one(broken_url="https://demo.example/0", broken_since=NOW)

        once = links.links_checked(other, False, after(600), PACE)

        assert (generation_of(once).links.demo_url, generation_of(once).links.broken_url) == (DEMO, DEMO)
        assert generation_of(once).links.broken_since == after(600)


def test_two_messages_are_the_same_text_apart_from_white_space() -> None:
    """
    White space at the edges and between words does not count; anything else does.
    """
    assert rounds.same_text(" Make  it\nblue ", "Make it blue")
    assert not rounds.same_text("Make it blue", "Make it Blue")
    assert not rounds.same_text("Make it blue", "Make it blue now")
