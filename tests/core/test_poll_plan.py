"""The plan of a round of polls: its order, its batches, and what it postpones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from factories import NOW, after, prototype
from protokeep.core.call_budget import CallAllowance, Limits, Priority, allowance_of
from protokeep.core.poll_plan import BATCH_SIZE, FEW_HOOKED, LARGE_SWEEP_CALLS, PollPlan, are_few_hooked, plan_polls
from protokeep.core.prototype import Status, TrackedPrototype
from protokeep.core.timing import Timing

TIMING = Timing()
UNLIMITED = CallAllowance(None, 0, NOW)
NO_CALLS = allowance_of(Limits(per_minute=10), 10, 0, NOW)


def one(**values: Any) -> TrackedPrototype:
    """A prototype that is being generated."""
    return prototype(Status.IN_PROGRESS, **values)


def plan(due: list[TrackedPrototype], allowance: CallAllowance = UNLIMITED, *, batched: bool = False) -> PollPlan:
    """A plan where a call of a list reports one chat, so that a sweep's calls are easy to count."""
    return plan_polls(due, allowance, NOW, TIMING, batched=batched, cost=lambda chats: chats)


@pytest.mark.parametrize("batched", [False, True])
def test_the_most_urgent_come_first(batched: bool) -> None:
    """Watched ones, then fresh ones, then old ones; those of one priority as they are due."""
    old = one(created_at=NOW - timedelta(hours=1))
    fresh = one(created_at=NOW, marker="first")
    second = one(created_at=NOW, marker="second")
    watched = one(created_at=NOW - timedelta(hours=1), watched_until=after(9))

    assert plan([old, fresh, second, watched], batched=batched).polled == [watched, fresh, second, old]
    assert list(Priority) == sorted(Priority)


def test_single_polls_are_written_in_batches() -> None:
    """Where each chat takes a call, a long round is written in parts."""
    due = [one(marker=str(number)) for number in range(2 * BATCH_SIZE + 1)]

    assert [len(batch) for batch in plan(due).batches] == [BATCH_SIZE, BATCH_SIZE, 1]
    assert plan(due).polled == due


def test_a_sweep_is_one_batch() -> None:
    """Where one call reports many chats, all are polled together; a large sweep is followed by a longer rest."""
    small = [one() for _ in range(LARGE_SWEEP_CALLS)]

    assert [len(batch) for batch in plan(small, batched=True).batches] == [LARGE_SWEEP_CALLS]
    assert plan(small, batched=True).unwatched_pause is None
    assert plan([*small, one()], batched=True).unwatched_pause == TIMING.batch_poll_interval
    assert plan([*small, one()]).unwatched_pause is None


def test_nothing_is_polled_without_calls() -> None:
    """Everything is postponed, and nothing is lost."""
    due = [one(), one()]

    for batched in (False, True):
        short = plan(due, NO_CALLS, batched=batched)
        assert (short.polled, list(short.postponed)) == ([], due)


@pytest.mark.parametrize("batched", [False, True])
def test_nothing_is_due(batched: bool) -> None:
    """An empty plan polls nothing and postpones nothing."""
    empty = plan([], NO_CALLS, batched=batched)

    assert (empty.polled, list(empty.postponed)) == ([], [])


def test_a_few_chats_that_hooks_named_are_recognised() -> None:
    """Only where hooks spoke of all of them, and they are few, is a sweep not worth its calls."""
    hooked = one(hook_received_at=after(1), observed_at=NOW)

    assert are_few_hooked([hooked] * FEW_HOOKED)
    assert not are_few_hooked([hooked] * (FEW_HOOKED + 1))
    assert not are_few_hooked([hooked, one()])
