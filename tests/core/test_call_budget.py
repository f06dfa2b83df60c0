"""The budget of calls, minute by minute and over the day, and who goes first when it is short."""

from __future__ import annotations

from datetime import timedelta

import pytest

from factories import NOW, after
from protokeep.core.call_budget import HEAD_START_SECONDS, CallAllowance, Limits, Priority, allowance_of, priority_of

MINUTE = NOW.replace(second=0, microsecond=0)
LOOKS = (Priority.WATCHED, Priority.FRESH, Priority.OLD)
NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0)


class TestRoom:
    def test_without_limits_any_number_of_calls_may_be_made(self) -> None:
        """
        Where nothing is limited any number of calls may be made.
        """
        free = allowance_of(Limits(), 10_000, 10_000, NOW)

        assert {free.left(rank) for rank in Priority} == {None}
        assert {free.per_minute(rank) for rank in Priority} == {None}

    def test_a_minutes_calls_are_spread_and_each_priority_has_its_share(self) -> None:
        """
        A minute's calls are spread over it, with a start at once; each rank has its share.
        """
        at = {
            second: allowance_of(Limits(per_minute=600), 0, 0, MINUTE + timedelta(seconds=second))
            for second in (0, 24, 54)
        }

        assert [at[0].left(rank) for rank in LOOKS] == [54, 45, 30]
        assert [at[24].left(rank) for rank in LOOKS] == [270, 225, 150]
        assert [at[54].left(rank) for rank in LOOKS] == [540, 450, 300]
        assert allowance_of(Limits(per_minute=600), 0, 0, MINUTE + timedelta(seconds=59)).left(Priority.WATCHED) == 540
        assert [at[0].per_minute(rank) for rank in LOOKS] == [540, 450, 300]

    def test_spent_calls_count_against_all_priorities(self) -> None:
        """
        Calls that were made count against all ranks, and nothing is ever owed.
        """
        spent = allowance_of(Limits(per_minute=600), 40, 0, MINUTE)

        assert [spent.left(rank) for rank in LOOKS] == [14, 5, 0]
        assert "600 calls a minute" in spent.message

    def test_the_smallest_budget_still_allows_one_call_a_minute(self) -> None:
        """
        However small the budget is, one call a minute is made.
        """
        assert allowance_of(Limits(per_minute=1), 0, 0, MINUTE).per_minute(Priority.OLD) == 1
        for rank in LOOKS:
            ends = [MINUTE + timedelta(minutes=minute, seconds=55) for minute in range(2)]
            assert 1 in [allowance_of(Limits(per_minute=1), 0, 0, end).left(rank) for end in ends]

    def test_less_than_one_call_a_minute_is_spread_over_the_hours(self) -> None:
        """
        What is left of a day is spread over it, however little it is: some of it in each hour, and no more.
        """
        minutes = [NOON + timedelta(minutes=minute, seconds=55) for minute in range(60)]

        assert sum(CallAllowance(0.41, 0, minute).left(Priority.LOOKUP) or 0 for minute in minutes) == 20
        assert sum(CallAllowance(0.0, 0, minute).left(Priority.LOOKUP) or 0 for minute in minutes) == 0

    def test_a_postponed_poll_comes_again_within_a_minute(self) -> None:
        """
        What is put off comes again when there may be calls for it, in three seconds to a minute.
        """
        spent = allowance_of(Limits(per_minute=600), 30, 0, MINUTE)

        assert spent.until(Priority.OLD, 50) == MINUTE + timedelta(seconds=10)
        assert spent.until(Priority.OLD, 1) == MINUTE + timedelta(seconds=3)
        assert spent.until(Priority.OLD, 9999) == MINUTE + timedelta(seconds=55)
        assert CallAllowance(0.0, 0, MINUTE).until(Priority.OLD, 1) == MINUTE + timedelta(seconds=55)
        late = CallAllowance(0.0, 0, MINUTE + timedelta(seconds=55))
        assert late.until(Priority.OLD, 1) == MINUTE + timedelta(seconds=115)


class TestDay:
    def test_half_of_a_days_calls_go_freely(self) -> None:
        """
        Half of a day's calls are nobody's concern.
        """
        assert allowance_of(Limits(per_day=1000), 0, 500, NOON).left(Priority.OLD) is None
        assert allowance_of(Limits(per_day=1000), 0, 501, NOON).left(Priority.OLD) is not None

    def test_the_second_half_of_a_days_calls_is_spread_over_the_rest_of_it(self) -> None:
        """
        What is left then is spread over what is left of the day.
        """
        spread = allowance_of(Limits(per_day=10_000), 0, 7120, NOON)

        assert spread.calls_per_minute == pytest.approx(2880 / 720)
        assert "7,120 of today's 10,000" in spread.message
        assert allowance_of(Limits(per_day=10_000), 0, 10_001, NOON).calls_per_minute == 0
        late = NOON + timedelta(hours=11, minutes=59, seconds=30)
        assert allowance_of(Limits(per_day=10_000), 0, 9_000, late).calls_per_minute == 1000

    def test_the_tighter_of_two_limits_decides_and_is_named(self) -> None:
        """
        With both limits the tighter one decides, and is the one that is told.
        """
        minute = allowance_of(Limits(per_minute=2, per_day=10_000), 0, 7120, NOON)
        day = allowance_of(Limits(per_minute=60, per_day=10_000), 0, 7120, NOON)

        assert minute.calls_per_minute == 2
        assert "a minute" in minute.message
        assert day.calls_per_minute == pytest.approx(4)
        assert "of today" in day.message


def test_watched_prototypes_come_before_recently_requested_ones() -> None:
    """
    What somebody has open comes first, then what was asked for in the last five minutes.
    """
    assert priority_of(NOW, after(9999), after(9998)) is Priority.WATCHED
    assert priority_of(NOW, after(300), after(300)) is Priority.FRESH
    assert priority_of(NOW, None, after(300)) is Priority.FRESH
    assert priority_of(NOW, after(1), after(301)) is Priority.OLD
    assert HEAD_START_SECONDS < 60
