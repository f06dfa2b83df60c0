"""Every step of a create, and every look, as a change of a value: what is kept, what is dropped, what comes next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.made import NOW, after, generation, polled, prototype
from protokeep.core import submission as steps
from protokeep.core.errors import ProviderError
from protokeep.core.generation import Generation, RecoveryPoint
from protokeep.core.prototype import Observation, ObservedState, State, Status, TrackedPrototype
from protokeep.core.timing import Timing, is_poll_due_on_request, next_lookup, next_poll
from tracked import generation_of

PACE = Timing()
CLAIMED, SENT, ACCEPTED, SETTLED = RecoveryPoint
ERROR = ProviderError("It broke.", code="server_error")


def sent(**values: Any) -> TrackedPrototype:
    """One whose create was sent at `NOW` and that somebody holds."""
    given = {"recovery_point": SENT, "sent_at": NOW, "attempts": 2, "lookups": 1, "lease_until": after(6)}
    return prototype(Status.PENDING, chat_id=None, **{**given, "hold_code": "x", "hold_message": "y", **values})


def made(**values: Any) -> TrackedPrototype:
    """One that is being generated, and was looked at once."""
    given = {"message_id": "m-1", "observed_at": NOW, "poll_count": 1}
    return prototype(Status.IN_PROGRESS, **{**given, **values})


def free(one: Generation) -> bool:
    """Whether nobody holds it, and nothing holds it up."""
    return (one.submission.lease_until, one.hold.code, one.hold.message) == (None, None, None)


class TestAboutToSend:
    def test_nothing_holds_it_up(self) -> None:
        """
        What held it up before is over, and whoever holds it goes on holding it.
        """
        one = generation_of(steps.about_to_send(sent(outcome_unknown=True), after(60), PACE))

        assert (one.submission.outcome_unknown, one.hold.code, one.hold.message) == (False, None, None)
        assert one.submission.lease_until is not None


class TestAccepted:
    def accepted(
        self, before: TrackedPrototype | None = None, seen: Observation | None = None, **more: Any
    ) -> TrackedPrototype:
        ids = {"chat_id": "c-1", "message_id": "m-1", "project_id": "p-1", **more}
        before = before or sent(outcome_unknown=True, error_code="no_answer", error_message="?", next_try_at=NOW)
        return steps.accepted(before, seen=seen, now=after(50), timing=PACE, batched=True, **ids)

    def test_its_ids_are_known(self) -> None:
        """
        It has its ids, nothing is tried any more, and its poll clock starts now.
        """
        one = self.accepted()
        known = generation_of(one)

        assert (one.chat_id, one.project_id, known.message_id) == ("c-1", "p-1", "m-1")
        assert (known.submission.recovery_point, one.state, one.updated_at) == (ACCEPTED, State.MAKING, after(50))
        assert (
            known.submission.outcome_unknown,
            known.error.code,
            known.error.message,
            known.submission.next_try_at,
        ) == (
            False,
            None,
            None,
            None,
        )
        assert free(known)
        assert (known.polling.deadline_at, known.polling.next_poll_at) == (after(50) + PACE.poll_timeout, after(53))

    def test_a_chat_is_no_project(self) -> None:
        """
        Where the builder gives a chat's id for a project's, there is no project.
        """
        assert self.accepted(project_id="c-1").project_id is None

    def test_what_was_said_with_it(self) -> None:
        """
        An answer that already says the end ends it.
        """
        one = self.accepted(
            seen=Observation(ObservedState.FINISHED, message_id="m-1", demo_url="https://demo.example/1")
        )

        assert (one.status, generation_of(one).submission.recovery_point) == (Status.COMPLETED, SETTLED)
        assert (generation_of(one).polling.next_poll_at, one.project_url) == (None, "https://demo.example/1")


class TestNotAccepted:
    def test_refused(self) -> None:
        """
        It has failed with the builder's reason, and nothing is tried any more.
        """
        one = steps.refused(sent(outcome_unknown=True, next_try_at=NOW), ERROR, after(9))
        left = generation_of(one)

        assert (one.status, left.error.code, left.error.message) == (Status.FAILED, "server_error", "It broke.")
        assert (left.submission.recovery_point, left.submission.outcome_unknown, left.submission.next_try_at) == (
            SETTLED,
            False,
            None,
        )
        assert free(left)

    def test_parked(self) -> None:
        """
        It is as if it had not been sent, says why it waits, and goes on at that time.
        """
        one = steps.parked(sent(outcome_unknown=True), until=after(90), code="rate_limited", message="Slowly.")
        left = generation_of(one)

        assert (one.state, left.submission.recovery_point, left.submission.sent_at) == (State.PARKED, CLAIMED, None)
        assert (left.submission.outcome_unknown, left.submission.lookups, left.submission.attempts) == (False, 0, 2)
        assert (left.submission.next_try_at, left.submission.lease_until) == (after(90), None)
        assert (left.hold.code, left.hold.message) == ("rate_limited", "Slowly.")

    def test_unreachable(self) -> None:
        """
        Nobody was there: parked with the reason, for longer after more tries.
        """
        pauses = []
        for attempts in (1, 3, 5):
            left = generation_of(steps.unreachable(sent(attempts=attempts), ERROR, after(9), PACE))
            assert (left.submission.recovery_point, left.hold.code, left.hold.message) == (
                CLAIMED,
                "server_error",
                "It broke.",
            )
            assert left.submission.next_try_at is not None
            pauses.append(left.submission.next_try_at - after(9))
        assert pauses == sorted(pauses)
        assert timedelta(seconds=1) < pauses[0] < timedelta(seconds=3)

    @pytest.mark.parametrize("point", [CLAIMED, SENT])
    def test_keyless(self, point: RecoveryPoint) -> None:
        """
        Without a key it waits; what may have been sent is still to be looked up, and shown so.
        """
        one = steps.waiting_for_key(sent(recovery_point=point), after(60), "No key.")
        left = generation_of(one)

        assert (left.submission.recovery_point, left.submission.sent_at, left.submission.outcome_unknown) == (
            point,
            NOW,
            point is SENT,
        )
        assert (left.hold.code, left.hold.message, left.submission.next_try_at) == (steps.NO_KEY, "No key.", after(60))
        assert left.submission.lease_until is None
        assert one.state is (State.UNDECIDED if point is SENT else State.PARKED)

    def test_undecided(self) -> None:
        """
        It stays sent, is shown as undecided with the reason, and is looked up next.
        """
        one = steps.outcome_unknown(sent(), ERROR, after(9), PACE)
        left = generation_of(one)

        assert (one.state, left.submission.recovery_point, left.submission.sent_at, left.submission.lookups) == (
            State.UNDECIDED,
            SENT,
            NOW,
            1,
        )
        assert (left.error.code, left.error.message) == ("server_error", "It broke.")
        assert left.submission.next_try_at == next_lookup(left, after(9), PACE)
        assert left.submission.next_try_at > after(9)
        assert free(left)

    def test_undecided_as_before(self) -> None:
        """
        A look-up that failed leaves the reason why it is undecided as it is.
        """
        left = generation_of(
            steps.outcome_unknown(sent(error_code="no_answer", error_message="Cut."), None, after(9), PACE)
        )

        assert (left.error.code, left.error.message) == ("no_answer", "Cut.")


class TestNotFound:
    @pytest.mark.parametrize(("counted", "lookups"), [(False, 1), (True, 2)])
    def test_some_count(self, counted: bool, lookups: int) -> None:
        """
        A look-up that found nothing is followed by another one, and counts only when it could see all.
        """
        left = generation_of(steps.not_found(sent(), after(100), PACE, counted=counted))

        assert (left.submission.recovery_point, left.submission.outcome_unknown, left.submission.lookups) == (
            SENT,
            True,
            lookups,
        )
        assert left.submission.next_try_at is not None
        assert left.submission.next_try_at > after(100)
        assert free(left)

    def test_of_a_claim(self) -> None:
        """
        A claim for which nothing was sent is not undecided.
        """
        one = steps.not_found(sent(recovery_point=CLAIMED, sent_at=None), after(9), PACE, counted=False)
        assert not generation_of(one).submission.outcome_unknown


class TestObserved:
    def look(
        self, one: TrackedPrototype, seconds: float, seen: Observation | None = None, **more: Any
    ) -> TrackedPrototype:
        given = {"batched": True, "missing": False, **more}
        return polled(one, seen, after(seconds), PACE, **given)

    def test_every_look_counts(self) -> None:
        """
        A look is counted and the next one is due, whether or not anything was to be read.
        """
        for seen in (None, Observation(ObservedState.RUNNING, message_id="m-1")):
            one = generation_of(self.look(made(), 3, seen))
            assert (one.polling.poll_count, one.polling.next_poll_at) == (2, after(6))
            assert one.polling.observed_at == (NOW if seen is None else after(3))

    def test_its_time_is_up(self) -> None:
        """
        At its deadline it times out, not before; an end that is seen in the same look is the end.
        """
        assert self.look(made(), 599).status is Status.IN_PROGRESS
        late = self.look(made(), 600, Observation(ObservedState.RUNNING))
        assert (late.status, generation_of(late).error.code) == (Status.TIMEOUT, "timeout")
        assert generation_of(late).polling.next_poll_at == after(660)
        assert self.look(made(), 600, Observation(ObservedState.FINISHED)).status is Status.COMPLETED

    def test_a_finished_one_times_out_no_more(self) -> None:
        """
        A look at one that is done changes its status no more, however late it is.
        """
        done = prototype(Status.COMPLETED, recovery_point=SETTLED, settled_at=after(20))
        assert self.look(done, 9999, Observation(ObservedState.FINISHED)).status is Status.COMPLETED

    def test_an_answer_without_sense(self) -> None:
        """
        A chat whose answer could not be read rests longer than others, even when it is watched.
        """
        one = self.look(made(watched_until=after(99)), 3, unread=True)
        assert generation_of(one).polling.next_poll_at == after(3) + PACE.unreadable_pause

    def test_a_rest_after_a_large_sweep(self) -> None:
        """
        After a sweep over very many the next one comes later, but not for what somebody watches, nor past a deadline.
        """
        rest = timedelta(seconds=20)
        assert generation_of(self.look(made(), 3, rest=rest)).polling.next_poll_at == after(23)
        assert generation_of(self.look(made(watched_until=after(4)), 3, rest=rest)).polling.next_poll_at == after(6)
        assert generation_of(self.look(made(watched_until=after(3)), 3, rest=rest)).polling.next_poll_at == after(23)
        assert generation_of(self.look(made(deadline_at=after(5)), 3, rest=rest)).polling.next_poll_at == after(5)

    def test_a_late_look_is_worth_a_wrap_up(self) -> None:
        """
        A look at one that is ready has its links read anew, unless that is to come anyway.
        """
        done = prototype(Status.COMPLETED, recovery_point=SETTLED, settled_at=after(20))
        seen = Observation(ObservedState.FINISHED)

        assert generation_of(self.look(done, 700, seen)).finalize_at == after(700)
        assert generation_of(self.look(done, 700)).finalize_at is None
        waits = prototype(Status.COMPLETED, recovery_point=SETTLED, settled_at=after(20), finalize_at=after(900))
        assert generation_of(self.look(waits, 700, seen)).finalize_at == after(900)
        assert generation_of(self.look(made(), 30, Observation(ObservedState.RUNNING))).finalize_at is None


class TestCredits:
    def test_rounds_add_up(self) -> None:
        """
        What each round cost adds up; an end that names no cost leaves the sum alone.
        """
        first = polled(made(), Observation(ObservedState.FINISHED, credits=0.25), after(9), PACE, batched=True)
        again = replace(first, status=Status.IN_PROGRESS)
        second = polled(again, Observation(ObservedState.FINISHED, credits=1.5), after(19), PACE, batched=True)
        third = polled(
            replace(second, status=Status.IN_PROGRESS),
            Observation(ObservedState.FINISHED),
            after(29),
            PACE,
            batched=True,
        )

        assert [generation_of(one).credits for one in (first, second, third)] == [0.25, 1.75, 1.75]


class TestHooked:
    def test_the_next_hook_is_waited_for(self) -> None:
        """
        Where hooks reach us for this round, looks come more seldom: at a distance that a lost hook still allows.
        """
        due = {
            (batched, watched): next_poll(
                made(hook_received_at=NOW, watched_until=after(9) if watched else None), after(1), PACE, batched=batched
            )
            for batched in (True, False)
            for watched in (True, False)
        }
        seldom, soon = after(1) + PACE.max_poll_interval, after(1) + PACE.hooked_poll_interval
        assert due == {(True, True): soon, (True, False): soon, (False, True): soon, (False, False): seldom}

    def test_one_of_an_earlier_round_says_nothing(self) -> None:
        """
        A hook of the round before does not say that hooks reach us for this one.
        """
        again = made(hook_received_at=after(50), follow_up_at=after(60), turn=2, deadline_at=after(660))
        assert next_poll(again, after(60), PACE, batched=True) == after(63)

    def test_a_status_request_waits_for_it_too(self) -> None:
        """
        Who asks for the status gets what is written for as long as the next hook would tell.
        """
        one = made(hook_received_at=NOW)
        assert not is_poll_due_on_request(one, after(29), PACE)
        assert is_poll_due_on_request(one, after(30), PACE)

    def test_told_by_a_hook(self) -> None:
        """
        A hook counts until the next look, and no longer.
        """
        assert generation(hook_received_at=after(5), observed_at=after(4)).hook_is_newer
        assert generation(hook_received_at=after(5)).hook_is_newer
        assert not generation(hook_received_at=after(5), observed_at=after(5)).hook_is_newer
        assert not generation(observed_at=after(5)).hook_is_newer


class TestStale:
    def test_what_is_not_looked_at(self) -> None:
        """
        What is being deleted or waits to send a message is not looked at for a status request.
        """
        assert not is_poll_due_on_request(made(deletion_requested_at=NOW), after(9999), PACE)
        assert not is_poll_due_on_request(made(recovery_point=CLAIMED, turn=2), after(9999), PACE)
        assert is_poll_due_on_request(made(), after(9999), PACE)

    def test_a_look_of_the_round_before(self) -> None:
        """
        A new round is as old as its message, not as the last look at the one before.
        """
        again = made(follow_up_at=after(100), turn=2, deadline_at=after(700))
        assert not is_poll_due_on_request(again, after(102), PACE)
        assert is_poll_due_on_request(again, after(103), PACE)

    def test_nothing_polls_what_is_being_deleted(self) -> None:
        """
        What is being deleted is not looked at by itself, either.
        """
        assert next_poll(made(deletion_requested_at=NOW), after(1), PACE, batched=True) is None
