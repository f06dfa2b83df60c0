"""Every step of a create, and every look, as a change of a value: what is kept, what is dropped, what comes next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from factories import NOW, after, generation, polled, prototype
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
    def test_about_to_send_clears_the_hold_and_keeps_the_lease(self) -> None:
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
        return steps.accepted(before, observation=seen, now=after(50), timing=PACE, batched=True, **ids)

    def test_an_accepted_create_has_its_ids_and_starts_its_poll_clock(self) -> None:
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

    def test_a_chat_id_in_place_of_a_project_id_is_no_project(self) -> None:
        """
        Where the builder gives a chat's id for a project's, there is no project.
        """
        assert self.accepted(project_id="c-1").project_id is None

    def test_an_answer_to_a_create_that_says_the_end_ends_it(self) -> None:
        """
        An answer that already says the end ends it.
        """
        one = self.accepted(
            seen=Observation(ObservedState.FINISHED, message_id="m-1", demo_url="https://demo.example/1")
        )

        assert (one.status, generation_of(one).submission.recovery_point) == (Status.COMPLETED, SETTLED)
        assert (generation_of(one).polling.next_poll_at, one.project_url) == (None, "https://demo.example/1")


class TestNotAccepted:
    def test_a_refused_create_has_failed_with_the_builders_reason(self) -> None:
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

    def test_a_parked_create_counts_as_unsent_and_has_a_next_try(self) -> None:
        """
        It is as if it had not been sent, says why it waits, and goes on at that time.
        """
        one = steps.parked(sent(outcome_unknown=True), until=after(90), code="rate_limited", message="Slowly.")
        left = generation_of(one)

        assert (one.state, left.submission.recovery_point, left.submission.sent_at) == (State.PARKED, CLAIMED, None)
        assert (left.submission.outcome_unknown, left.submission.lookups, left.submission.attempts) == (False, 0, 2)
        assert (left.submission.next_try_at, left.submission.lease_until) == (after(90), None)
        assert (left.hold.code, left.hold.message) == ("rate_limited", "Slowly.")

    def test_an_unreachable_builder_parks_for_longer_after_more_tries(self) -> None:
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
    def test_a_create_without_a_key_waits_and_keeps_its_look_up(self, point: RecoveryPoint) -> None:
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

    def test_an_undecided_create_stays_sent_and_is_looked_up_next(self) -> None:
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

    def test_a_failed_look_up_keeps_the_reason_of_an_undecided_create(self) -> None:
        """
        A look-up that failed leaves the reason why it is undecided as it is.
        """
        left = generation_of(
            steps.outcome_unknown(sent(error_code="no_answer", error_message="Cut."), None, after(9), PACE)
        )

        assert (left.error.code, left.error.message) == ("no_answer", "Cut.")


class TestNotFound:
    @pytest.mark.parametrize(("counted", "lookups"), [(False, 1), (True, 2)])
    def test_a_look_up_that_found_nothing_counts_only_if_it_saw_everything(self, counted: bool, lookups: int) -> None:
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

    def test_a_claim_that_was_never_sent_is_not_undecided(self) -> None:
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

    def test_every_poll_is_counted_and_the_next_one_is_due(self) -> None:
        """
        A look is counted and the next one is due, whether or not anything was to be read.
        """
        for seen in (None, Observation(ObservedState.RUNNING, message_id="m-1")):
            one = generation_of(self.look(made(), 3, seen))
            assert (one.polling.poll_count, one.polling.next_poll_at) == (2, after(6))
            assert one.polling.observed_at == (NOW if seen is None else after(3))

    def test_a_prototype_times_out_at_its_deadline_unless_it_ended(self) -> None:
        """
        At its deadline it times out, not before; an end that is seen in the same look is the end.
        """
        assert self.look(made(), 599).status is Status.IN_PROGRESS
        late = self.look(made(), 600, Observation(ObservedState.RUNNING))
        assert (late.status, generation_of(late).error.code) == (Status.TIMEOUT, "timeout")
        assert generation_of(late).polling.next_poll_at == after(660)
        assert self.look(made(), 600, Observation(ObservedState.FINISHED)).status is Status.COMPLETED

    def test_a_finished_prototype_does_not_time_out(self) -> None:
        """
        A look at one that is done changes its status no more, however late it is.
        """
        done = prototype(Status.COMPLETED, recovery_point=SETTLED, settled_at=after(20))
        assert self.look(done, 9999, Observation(ObservedState.FINISHED)).status is Status.COMPLETED

    def test_an_unreadable_answer_delays_the_next_poll_even_if_watched(self) -> None:
        """
        A chat whose answer could not be read rests longer than others, even when it is watched.
        """
        one = self.look(made(watched_until=after(99)), 3, unread=True)
        assert generation_of(one).polling.next_poll_at == after(3) + PACE.unreadable_pause

    def test_a_large_sweep_delays_polls_but_not_of_watched_ones(self) -> None:
        """
        After a sweep over very many the next one comes later, but not for what somebody watches, nor past a deadline.
        """
        pause = timedelta(seconds=20)
        assert generation_of(self.look(made(), 3, unwatched_pause=pause)).polling.next_poll_at == after(23)
        assert generation_of(
            self.look(made(watched_until=after(4)), 3, unwatched_pause=pause)
        ).polling.next_poll_at == after(6)
        assert generation_of(
            self.look(made(watched_until=after(3)), 3, unwatched_pause=pause)
        ).polling.next_poll_at == after(23)
        assert generation_of(
            self.look(made(deadline_at=after(5)), 3, unwatched_pause=pause)
        ).polling.next_poll_at == after(5)

    def test_a_late_poll_of_a_ready_prototype_schedules_finalization(self) -> None:
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
    def test_credits_of_each_turn_add_up(self) -> None:
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


class TestPollsAfterHooks:
    def test_polls_are_rarer_while_hooks_reach_this_turn(self) -> None:
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

    def test_a_hook_of_an_earlier_turn_does_not_slow_polls(self) -> None:
        """
        A hook of the round before does not say that hooks reach us for this one.
        """
        again = made(hook_received_at=after(50), follow_up_at=after(60), turn=2, deadline_at=after(660))
        assert next_poll(again, after(60), PACE, batched=True) == after(63)

    def test_a_status_request_waits_as_long_as_the_next_hook_would_take(self) -> None:
        """
        Who asks for the status gets what is written for as long as the next hook would tell.
        """
        one = made(hook_received_at=NOW)
        assert not is_poll_due_on_request(one, after(29), PACE)
        assert is_poll_due_on_request(one, after(30), PACE)

    def test_a_hook_counts_until_the_next_poll_only(self) -> None:
        """
        A hook counts until the next look, and no longer.
        """
        assert generation(hook_received_at=after(5), observed_at=after(4)).hook_is_newer
        assert generation(hook_received_at=after(5)).hook_is_newer
        assert not generation(hook_received_at=after(5), observed_at=after(5)).hook_is_newer
        assert not generation(observed_at=after(5)).hook_is_newer


class TestStale:
    def test_a_deleting_or_sending_prototype_is_not_polled_for_a_status_request(self) -> None:
        """
        What is being deleted or waits to send a message is not looked at for a status request.
        """
        assert not is_poll_due_on_request(made(deletion_requested_at=NOW), after(9999), PACE)
        assert not is_poll_due_on_request(made(recovery_point=CLAIMED, turn=2), after(9999), PACE)
        assert is_poll_due_on_request(made(), after(9999), PACE)

    def test_a_new_turn_is_as_old_as_its_message(self) -> None:
        """
        A new round is as old as its message, not as the last look at the one before.
        """
        again = made(follow_up_at=after(100), turn=2, deadline_at=after(700))
        assert not is_poll_due_on_request(again, after(102), PACE)
        assert is_poll_due_on_request(again, after(103), PACE)

    def test_a_prototype_being_deleted_is_not_polled_by_itself(self) -> None:
        """
        What is being deleted is not looked at by itself, either.
        """
        assert next_poll(made(deletion_requested_at=NOW), after(1), PACE, batched=True) is None
