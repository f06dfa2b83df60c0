"""When to look, when to wait, when to try again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import NOW, after, generation, prototype
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import ObservedState, Status
from protokeep.core.reuse import Outcome
from protokeep.core.timing import (
    Timing,
    backoff,
    is_poll_due_on_request,
    may_resend,
    must_look_up_first,
    next_lookup,
    next_poll,
    settled_since_sent,
)

PACE = Timing()
CLAIMED, SENT = RecoveryPoint.CLAIMED, RecoveryPoint.SENT


def in_seconds(value: object) -> float | None:
    """An instant as seconds after `NOW`."""
    return None if value is None else (value - NOW).total_seconds()  # type: ignore[operator]


def looks(*, batched: bool, watched: bool, timeout: float = 600) -> list[float]:
    """The seconds at which a prototype that never finishes is looked at, until its time is up."""
    moments: list[float] = []
    now = NOW
    while True:
        one = prototype(Status.IN_PROGRESS, deadline_at=after(timeout), watched_until=after(9999) if watched else None)
        due = next_poll(one, now, PACE, batched=batched)
        assert due is not None
        assert due > now
        now = due
        moments.append((now - NOW).total_seconds())
        if moments[-1] >= timeout:
            return moments


class TestNextPoll:
    @pytest.mark.parametrize(("timeout", "polls"), [(600, 200), (900, 300)])
    @pytest.mark.parametrize(("batched", "watched"), [(True, False), (False, True)], ids=["v1", "v2 watched"])
    def test_polls_every_three_seconds_are_200_in_ten_minutes(
        self, batched: bool, watched: bool, timeout: float, polls: int
    ) -> None:
        """
        Every 3 s: 200 polls in 10 minutes, 300 in 15.
        """
        moments = looks(batched=batched, watched=watched, timeout=timeout)

        assert len(moments) == polls
        assert moments == [3.0 * (index + 1) for index in range(polls)]

    def test_unwatched_chats_that_are_read_one_by_one_are_polled_ever_less(self) -> None:
        """
        v2 reads each chat by itself, so what nobody watches is read less and less often.
        """
        moments = looks(batched=False, watched=False)

        pauses = [round(later - sooner, 6) for sooner, later in zip([0.0, *moments], moments, strict=False)]
        assert pauses[:3] == [3.0] * 3
        assert pauses[:-1] == sorted(pauses[:-1])
        assert max(pauses) == 60
        assert len(moments) < 20

    def test_the_last_poll_is_at_the_deadline(self) -> None:
        """
        The last look is at the deadline, not up to a minute later.
        """
        assert looks(batched=False, watched=False, timeout=577)[-1] == 577

    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
    def test_settled_and_untracked_prototypes_are_never_due(self, status: Status) -> None:
        """
        Nothing looks at a settled prototype by itself, nor at a row that nobody tracks.
        """
        assert next_poll(prototype(status), NOW, PACE, batched=True) is None

    def test_a_timed_out_prototype_is_polled_ever_less_for_24_hours(self) -> None:
        """
        After `timeout` it is looked at for 24 hours, a minute apart at first, a quarter of an hour at last.
        """
        one = prototype(Status.TIMEOUT, deadline_at=NOW)

        assert in_seconds(next_poll(one, NOW, PACE, batched=False)) == 60
        assert in_seconds(next_poll(one, after(3000), PACE, batched=False)) == 3300
        assert in_seconds(next_poll(one, after(80_000), PACE, batched=False)) == 80_900
        assert next_poll(one, after(24 * 3600), PACE, batched=False) is not None
        assert next_poll(one, after(24 * 3600 + 1), PACE, batched=False) is None


class TestStale:
    @pytest.mark.parametrize(
        ("status", "age", "expected"),
        [
            (Status.PENDING, 2.9, False),
            (Status.PENDING, 3, True),
            (Status.IN_PROGRESS, 3, True),
            (Status.TIMEOUT, 3, True),
            (Status.COMPLETED, 599, False),
            (Status.COMPLETED, 600, True),
            (Status.FAILED, 99_999, False),
        ],
    )
    def test_an_answer_is_stale_after_one_interval_ten_minutes_or_never(
        self, status: Status, age: float, expected: bool
    ) -> None:
        """
        One poll interval while it is made, ten minutes when it is done, for ever when it failed.
        """
        assert is_poll_due_on_request(prototype(status, observed_at=NOW), after(age), PACE) is expected
        assert is_poll_due_on_request(prototype(status, observed_at=None, created_at=NOW), after(age), PACE) is expected

    def test_without_a_chat_there_is_nothing_to_poll(self) -> None:
        """
        Without a chat there is nothing to ask the builder about.
        """
        assert not is_poll_due_on_request(prototype(chat_id=None), after(9999), PACE)


class TestSending:
    def test_a_fresh_claim_is_sent_and_an_old_one_looked_up_first(self) -> None:
        """
        A claim is sent at once; one that lay about is looked up first.
        """
        claim = generation(recovery_point=CLAIMED, created_at=NOW)

        assert not must_look_up_first(claim, after(30), PACE)
        assert must_look_up_first(claim, after(30.001), PACE)

    @given(st.floats(0, 1e6))
    def test_a_sent_create_is_looked_up_next(self, seconds: float) -> None:
        """
        Once something may have been sent, the next step is always a look.
        """
        assert must_look_up_first(generation(recovery_point=SENT, sent_at=NOW), after(seconds), PACE)

    @given(st.floats(0, 1000), st.integers(0, 5))
    def test_a_create_is_resent_after_two_empty_look_ups_past_the_settle_time(
        self, seconds: float, lookups: int
    ) -> None:
        """
        Another create takes two look-ups that found nothing, both after the settle time.
        """
        sent = generation(recovery_point=SENT, sent_at=NOW, lookups=lookups)
        settled = settled_since_sent(sent, after(seconds), PACE)

        assert settled == (after(seconds) - NOW >= PACE.settle)
        assert may_resend(sent, PACE, settled=settled) == (settled and lookups >= 1)

    def test_a_claim_needs_one_empty_look_up_before_it_is_sent(self) -> None:
        """
        Nothing was sent for a claim as far as we know, so one look that finds nothing is enough.
        """
        assert may_resend(generation(recovery_point=CLAIMED), PACE, settled=False)

    @given(st.floats(0, 1000))
    def test_look_ups_are_one_to_ten_seconds_apart_until_they_count(self, seconds: float) -> None:
        """
        Look-ups are one to ten seconds apart until they count, then five seconds to a minute.
        """
        pause = next_lookup(generation(recovery_point=SENT, sent_at=NOW), after(seconds), PACE) - after(seconds)

        counts = timedelta(seconds=seconds) >= PACE.settle
        shortest, longest = (5, 60) if counts else (1, 10)
        assert timedelta(seconds=shortest) <= pause <= timedelta(seconds=longest)

    def test_the_settle_time_outlasts_the_create_call(self) -> None:
        """
        A create that is still under way may not be sent a second time.
        """
        assert PACE.settle > PACE.create_timeout
        assert not settled_since_sent(generation(sent_at=NOW), NOW + PACE.create_timeout, PACE)
        assert settled_since_sent(generation(sent_at=None), NOW, PACE)


class TestBackoff:
    @given(st.integers(0, 10_000))
    def test_a_backoff_is_between_a_second_and_the_longest_pause(self, attempts: int) -> None:
        """
        From one second to the longest pause, give or take a fifth.
        """
        pause = backoff(attempts, PACE)

        assert timedelta(seconds=0.8) <= pause <= 1.2 * PACE.max_backoff

    @given(st.integers(1, 6))
    def test_each_backoff_is_longer_than_the_one_before(self, attempts: int) -> None:
        """
        Each pause is longer than the one before, jitter and all.
        """
        pauses = [backoff(attempts, PACE).total_seconds() for _ in range(5)]

        assert all(0.8 * 2**attempts <= pause <= 1.2 * 2**attempts for pause in pauses)

    def test_many_failures_do_not_come_back_together(self) -> None:
        """
        Many that failed together do not come back together.
        """
        assert len({backoff(3, PACE) for _ in range(20)}) > 1


def test_the_stored_words_of_enums_stay_as_they_are() -> None:
    """
    Words that are written into rows and answers stay as they are.
    """
    assert list(Status) == ["pending", "in_progress", "completed", "failed", "timeout"]
    assert list(RecoveryPoint) == ["claimed", "sent", "accepted", "settled"]
    assert list(Outcome) == ["created", "reused", "replaced", "replayed"]
    assert len(ObservedState) == 8
