"""What a "not found" proves, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import NOW, after, generation, polled, prototype
from protokeep.core.absence import (
    AccountVisibility,
    accepted_at,
    deletion_is_done,
    is_gone,
    may_be_gone,
    next_poll_of_missing,
    recorded_missing,
    retry_after,
)
from protokeep.core.prototype import Observation, ObservedState, State, Status, TrackedPrototype
from protokeep.core.timing import Timing, answer_valid_for, is_poll_due_on_request
from tracked import generation_of

PACE = Timing()
LONG_AGO = after(-86_400)
#: A round in which the account showed another chat, with a key that is in use for long.
VISIBLE = AccountVisibility(LONG_AGO, shown=1, missing=1)
RUNNING = Observation(ObservedState.RUNNING, "m-1")


def away(seconds: float = 300, polls: int = 4, **values: Any) -> TrackedPrototype:
    """An old prototype that was seen, and then missing for so long, in so many polls."""
    given: dict[str, Any] = {
        "created_at": after(-3600),
        "last_shown_at": after(-seconds - 1),
        "missing_since": after(-seconds),
        "missing_polls": polls,
        "deadline_at": after(600),
    }
    return prototype(Status.IN_PROGRESS, **{**given, **values})


def look(
    one: TrackedPrototype, now: datetime, *, missing: bool, around: AccountVisibility = VISIBLE
) -> TrackedPrototype:
    return polled(one, None if missing else RUNNING, now, PACE, batched=False, missing=missing, account=around)


class TestGone:
    def test_an_old_chat_missing_for_five_minutes_in_four_polls_is_gone(self) -> None:
        """
        Seen, old, away for five minutes in four polls, and others are visible: that is gone.
        """
        assert is_gone(generation_of(away()), VISIBLE, NOW, PACE)

    @pytest.mark.parametrize(
        "values",
        [
            {"seconds": 299},
            {"polls": 3},
            {"last_shown_at": None},
            {"created_at": after(-599)},
            {"sent_at": after(-599)},
            {"missing_since": None},
            {"created_at": after(3600)},
            {"missing_since": after(3600)},
        ],
    )
    def test_a_young_or_unseen_or_briefly_missing_chat_is_not_gone(self, values: dict[str, Any]) -> None:
        """
        One that is young, was never seen, or is away for a shorter time or in fewer polls is not gone; nor does a
        clock that was set back make it so.
        """
        assert not may_be_gone(generation_of(away(**values)), NOW, PACE)

    @pytest.mark.parametrize(
        ("around", "expected"),
        [
            (AccountVisibility(LONG_AGO, shown=0, missing=1), False),
            (AccountVisibility(LONG_AGO, shown=0, missing=1, shows_ours=True), True),
            (AccountVisibility(LONG_AGO, shown=1, missing=1), True),
            (AccountVisibility(LONG_AGO, shown=2, missing=2), False),
            (AccountVisibility(LONG_AGO, shown=3, missing=2), True),
            (AccountVisibility(LONG_AGO, shown=0, missing=2, shows_ours=True), False),
            (AccountVisibility(after(-200), shown=1, missing=1), False),
            (AccountVisibility(after(-599), shown=9, missing=1), False),
            (AccountVisibility(after(-600), shown=1, missing=1), True),
            (AccountVisibility(after(3600), shown=1, missing=1), False),
        ],
    )
    def test_an_account_that_shows_nothing_or_has_a_new_key_proves_nothing(
        self, around: AccountVisibility, expected: bool
    ) -> None:
        """
        An account that shows nothing, many that are missing together, and a key that is new prove nothing.
        """
        assert is_gone(generation_of(away(last_shown_at=after(-3000))), around, NOW, PACE) is expected

    def test_a_chat_seen_with_the_same_key_is_not_hidden_by_the_key(self) -> None:
        """
        A chat that was seen since the key is in use is not hidden by the key.
        """
        assert is_gone(generation_of(away()), AccountVisibility(after(-301), shown=1, missing=1), NOW, PACE)

    def test_many_missing_chats_are_gone_after_an_hour_if_others_are_listed(self) -> None:
        """
        They are believed after an hour, if a list shows others of ours.
        """
        around = AccountVisibility(LONG_AGO, shown=0, missing=5, shows_ours=True)

        assert not is_gone(generation_of(away(3599)), around, NOW, PACE)
        assert is_gone(generation_of(away(3600, created_at=after(-7200))), around, NOW, PACE)

    def test_a_chat_that_no_read_ever_showed_is_gone_after_a_day(self) -> None:
        """
        One that no read has ever shown, of an older row say, is gone after a day.
        """
        old: dict[str, Any] = {"created_at": after(-200_000), "last_shown_at": None}

        assert not is_gone(generation_of(away(86_399, **old)), VISIBLE, NOW, PACE)
        assert is_gone(generation_of(away(86_400, **old)), VISIBLE, NOW, PACE)

    def test_a_deletion_answered_not_found_is_done_once_that_lasts(self) -> None:
        """
        A deletion that is answered with "not found" is done once that lasts; one of a gone chat at once.
        """
        unseen = AccountVisibility(LONG_AGO, shown=0, missing=1)

        assert deletion_is_done(generation_of(away(last_shown_at=None)), VISIBLE, NOW, PACE)
        assert not deletion_is_done(generation_of(away()), unseen, NOW, PACE)
        assert not deletion_is_done(generation_of(away(299)), VISIBLE, NOW, PACE)
        assert deletion_is_done(generation_of(away(86_400, created_at=after(-90_000))), unseen, NOW, PACE)

    def test_a_follow_up_makes_a_chat_young_again(self) -> None:
        """
        A follow-up makes a chat young again.
        """
        assert accepted_at(generation(sent_at=after(5))) == after(5)
        assert accepted_at(generation(sent_at=None)) == NOW


class TestPolls:
    def test_polls_of_a_missing_chat_slow_down_and_end_after_a_week(self) -> None:
        """
        3 s, 6 s, 12 s, up to a minute; after ten minutes slower, at last once a day; and no more after a week.
        """
        one = prototype(Status.IN_PROGRESS)
        now, moments = NOW, [NOW]
        while True:
            one = recorded_missing(one, now)
            due = next_poll_of_missing(one, now, PACE)
            if due is None:
                break
            now = due
            moments.append(now)

        pauses = [(later - sooner).total_seconds() for sooner, later in pairwise(moments)]
        assert pauses[:6] == [3, 6, 12, 24, 48, 60]
        assert pauses == sorted(pauses)
        assert pauses[-1] <= 86_400
        assert timedelta(days=7) < moments[-1] - NOW <= timedelta(days=8)
        assert len(pauses) < 100

    def test_a_gone_chat_is_polled_a_quarter_of_an_hour_later_for_a_week(self) -> None:
        """
        A gone one is looked at a quarter of an hour later, and so on for a week.
        """
        gone = prototype(Status.FAILED, error_code="gone", missing_since=after(-300), missing_polls=8)

        assert next_poll_of_missing(gone, NOW, PACE) == after(900)
        assert next_poll_of_missing(gone, after(86_400), PACE) == after(86_400 + 8670)
        assert next_poll_of_missing(gone, after(8 * 86_400), PACE) is None

    @given(st.integers(0, 10_000), st.floats(-1e6, 1e7))
    def test_a_poll_is_between_three_seconds_and_a_day_away_by_any_clock(self, polls: int, seconds: float) -> None:
        """
        Whatever the clocks do, a look is between three seconds and a day away.
        """
        pause = retry_after(generation(missing_since=NOW, missing_polls=polls), after(seconds), PACE)

        assert timedelta(seconds=3) <= pause <= timedelta(days=1)

    def test_a_status_request_polls_a_missing_chat_soon_and_later_once_a_minute(self) -> None:
        """
        A status request polls again after seconds while it is new, once a minute when it lasts, also at a gone one.
        """
        new = away(3, last_missing_at=after(0))
        assert answer_valid_for(new, NOW, PACE) == timedelta(seconds=3)
        assert not is_poll_due_on_request(new, after(2.9), PACE)
        assert is_poll_due_on_request(new, after(3), PACE)
        old = away(6000, last_missing_at=NOW)
        assert not is_poll_due_on_request(old, after(59), PACE)
        assert is_poll_due_on_request(old, after(60), PACE)
        gone = replace(away(6000, last_missing_at=NOW, error_code="gone"), status=Status.FAILED)
        assert not is_poll_due_on_request(gone, after(59), PACE)
        assert is_poll_due_on_request(gone, after(60), PACE)
        assert is_poll_due_on_request(gone, after(-3600), PACE)  # The clock was set back.


class TestObserved:
    def test_one_not_found_changes_no_status_and_is_shown_and_counted(self) -> None:
        """
        One "not found" changes no status; it is shown as not visible, and counted.
        """
        one = look(prototype(Status.IN_PROGRESS), NOW, missing=True)

        assert (one.status, one.state) == (Status.IN_PROGRESS, State.NOT_VISIBLE)
        told = generation_of(one)
        assert (
            told.absence.missing_since,
            told.absence.missing_polls,
            told.absence.last_missing_at,
            told.absence.last_shown_at,
        ) == (NOW, 1, NOW, None)
        assert told.polling.next_poll_at == after(3)

    @pytest.mark.parametrize("status", [Status.PENDING, Status.IN_PROGRESS, Status.TIMEOUT, Status.COMPLETED])
    def test_any_sight_of_a_chat_ends_its_absence(self, status: Status) -> None:
        """
        Any sight ends it.
        """
        one = look(look(prototype(status, deadline_at=after(600)), NOW, missing=True), after(30), missing=False)

        assert one.state is not State.NOT_VISIBLE
        told = generation_of(one)
        assert (
            told.absence.missing_since,
            told.absence.missing_polls,
            told.absence.last_missing_at,
            told.absence.last_shown_at,
        ) == (
            None,
            0,
            None,
            after(30),
        )

    def test_a_later_sight_takes_back_the_failure_of_a_gone_chat(self) -> None:
        """
        What counts as gone is failed with a reason; a later sight takes that back, with a poll clock of its own.
        """
        gone = look(away(credits=0.5), NOW, missing=True)
        assert (gone.status, gone.state, generation_of(gone).error.code) == (Status.FAILED, State.FAILED, "gone")
        assert generation_of(gone).polling.next_poll_at == after(900)

        back = look(gone, after(900), missing=False)

        told = generation_of(back)
        assert (back.status, back.state, told.error.code) == (Status.IN_PROGRESS, State.MAKING, None)
        assert (told.polling.deadline_at, told.settled_at, told.absence.missing_since) == (after(1500), None, None)
        assert told.polling.next_poll_at is not None

    @pytest.mark.parametrize(
        ("seen", "status"),
        [
            (ObservedState.QUEUED, Status.PENDING),
            (ObservedState.WAITING, Status.IN_PROGRESS),
            (ObservedState.FINISHED, Status.COMPLETED),
            (ObservedState.BROKE, Status.FAILED),
        ],
    )
    def test_a_chat_that_is_back_takes_the_builders_state_and_costs_once(
        self, seen: ObservedState, status: Status
    ) -> None:
        """
        It is what the builder says then, and what it had cost is counted once.
        """
        gone = look(away(credits=0.5), NOW, missing=True)

        sight = Observation(
            seen, "m-1", error_code="builder_error" if seen is ObservedState.BROKE else None, credits=0.5
        )
        back = polled(gone, sight, after(900), PACE, batched=False)

        assert back.status is status
        assert generation_of(back).error.code == ("builder_error" if seen is ObservedState.BROKE else None)
        assert generation_of(back).credits == 0.5

    def test_a_failure_that_the_builder_reported_is_not_taken_back(self) -> None:
        """
        Only what counted as gone is taken back: what the builder gave up stays failed.
        """
        failed = prototype(Status.FAILED, error_code="builder_error", error_message="no")

        assert look(failed, NOW, missing=False).status is Status.FAILED

    def test_the_poll_clock_stands_still_while_a_chat_is_not_visible(self) -> None:
        """
        The poll clock stands still while it is not visible, and goes on when it is seen again.
        """
        one = look(prototype(Status.IN_PROGRESS, deadline_at=after(20)), NOW, missing=True)
        for seconds in (10, 20, 30, 60):
            one = look(one, after(seconds), missing=True)
        assert one.status is Status.IN_PROGRESS

        back = look(one, after(90), missing=False)

        assert (back.status, generation_of(back).polling.deadline_at) == (Status.IN_PROGRESS, after(110))
        assert look(back, after(110), missing=False).status is Status.TIMEOUT

    def test_a_poll_an_hour_late_times_nothing_out_and_counts_no_absence(self) -> None:
        """
        A look an hour later than due times nothing out, and counts for no absence: nobody looked meanwhile.
        """
        young = prototype(Status.IN_PROGRESS, next_poll_at=after(3), deadline_at=after(600))
        one = look(young, after(3600), missing=False)
        assert (one.status, generation_of(one).polling.deadline_at) == (Status.IN_PROGRESS, after(4197))

        absent = look(away(10, polls=3, next_poll_at=NOW), after(3600), missing=True)
        assert (absent.status, generation_of(absent).absence.missing_since) == (Status.IN_PROGRESS, after(3590))

    def test_a_poll_a_few_seconds_late_moves_no_deadline(self) -> None:
        """
        A look that is a few seconds late moves nothing.
        """
        one = prototype(Status.IN_PROGRESS, next_poll_at=after(580), deadline_at=after(600))

        assert look(one, after(610), missing=False).status is Status.TIMEOUT

    def test_no_deadline_is_further_away_than_a_whole_poll_clock(self) -> None:
        """
        No deadline is further away than a whole poll clock, whatever clock it was set by.
        """
        one = prototype(Status.IN_PROGRESS, next_poll_at=after(3600), deadline_at=after(4200))

        assert generation_of(look(one, NOW, missing=False)).polling.deadline_at == after(600)

    def test_a_question_to_a_person_times_nothing_out(self) -> None:
        """
        A question to a person times nothing out, is asked about more slowly, and the clock begins anew after it.
        """
        question = Observation(ObservedState.WAITING, "m-1", error_code="waiting_for_answer", error_message="?")
        one = polled(prototype(Status.IN_PROGRESS), question, after(590), PACE, batched=True)
        one = polled(one, question, after(600), PACE, batched=True)
        assert (one.state, generation_of(one).polling.next_poll_at) == (State.WAITING, after(660))

        answered = look(one, after(660), missing=False)

        assert (answered.state, generation_of(answered).polling.deadline_at) == (State.MAKING, after(1260))
