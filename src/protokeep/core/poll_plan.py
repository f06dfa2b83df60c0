"""The plan of a round of polls: which prototypes of an account, in what order, in what batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.core.call_budget import CallAllowance, Priority, priority_of
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.timing import Timing

#: A sweep of more calls than this makes unwatched prototypes wait longer for the next sweep.
LARGE_SWEEP_CALLS = 16
#: Chats that are polled one by one before the answers are written.
BATCH_SIZE = 200
#: Up to so many chats that hooks named are polled one by one.
FEW_HOOKED = 20


@dataclass(frozen=True, slots=True)
class PollPlan:
    """One round of polls of an account and API version.

    The prototypes of one batch are polled together, and written before the next batch begins. `postponed` have to wait
    because no calls are left for them. `unwatched_pause`: from the beginning of this round to the next round of
    prototypes that nobody watches; None: each prototype is polled when its own timing says.
    """

    batches: Sequence[Sequence[TrackedPrototype]]
    postponed: Sequence[TrackedPrototype]
    unwatched_pause: timedelta | None = None

    @property
    def polled(self) -> list[TrackedPrototype]:
        """All prototypes that are polled now, the most urgent ones first."""
        return [prototype for batch in self.batches for prototype in batch]


def plan_polls(
    due: Sequence[TrackedPrototype],
    allowance: CallAllowance,
    now: datetime,
    timing: Timing,
    *,
    batched: bool,
    cost: Callable[[int], int],
) -> PollPlan:
    """Plan a round of the prototypes that are due, watched ones first, within the calls that are left.

    Workspaces that share the account take turns: first the most urgent prototype of each, then the second of each. So
    a workspace with thousands of them spends no calls that another one's few would need.

    `batched`: one call reports many chats, so that they are polled together, or not at all. `cost`: about how many
    calls it takes to poll so many chats.
    """
    ranked = _in_turns(sorted(((_priority(prototype, now), prototype) for prototype in due), key=lambda pair: pair[0]))
    if batched:
        return _plan_together(ranked, allowance, timing, cost)
    polled, postponed = _split_by_budget(ranked, allowance)
    batches = [polled[start : start + BATCH_SIZE] for start in range(0, len(polled), BATCH_SIZE)]
    return PollPlan(batches, postponed)


def _in_turns(
    ranked: Sequence[tuple[Priority, TrackedPrototype]],
) -> Sequence[tuple[Priority, TrackedPrototype]]:
    """The same with workspaces taking turns; each workspace's own order stays."""
    places: Counter[str] = Counter()
    in_turns = []
    for priority, prototype in ranked:
        workspace_id = prototype.generation.workspace_id
        in_turns.append((places[workspace_id], (priority, prototype)))
        places[workspace_id] += 1
    return ranked if len(places) < 2 else [pair for _, pair in sorted(in_turns, key=lambda turn: turn[0])]


def _plan_together(
    ranked: Sequence[tuple[Priority, TrackedPrototype]],
    allowance: CallAllowance,
    timing: Timing,
    cost: Callable[[int], int],
) -> PollPlan:
    """Sweep when the most urgent prototype may spend the sweep's calls, or when a whole minute's calls are left."""
    prototypes = [prototype for _, prototype in ranked]
    if not prototypes:
        return PollPlan([], [])
    calls, most_urgent = cost(len(prototypes)), ranked[0][0]
    left, per_minute = allowance.left(most_urgent), allowance.per_minute(most_urgent)
    if left is not None and per_minute is not None and left < min(calls, per_minute):
        return PollPlan([], prototypes)
    unwatched_pause = timing.batch_poll_interval if calls > LARGE_SWEEP_CALLS else None
    return PollPlan([prototypes], [], unwatched_pause)


def _split_by_budget(
    ranked: Sequence[tuple[Priority, TrackedPrototype]], allowance: CallAllowance
) -> tuple[list[TrackedPrototype], list[TrackedPrototype]]:
    """(the prototypes for which calls of their priority are left, the others), where each poll takes one call."""
    polled: list[TrackedPrototype] = []
    postponed: list[TrackedPrototype] = []
    for priority, prototype in ranked:
        left = allowance.left(priority)
        (polled if left is None or len(polled) < left else postponed).append(prototype)
    return polled, postponed


def _priority(prototype: TrackedPrototype, now: datetime) -> Priority:
    return priority_of(prototype.generation.turn_at, prototype.generation.polling.watched_until, now)


def are_few_hooked(due: Sequence[TrackedPrototype]) -> bool:
    """Whether these chats are few and hooks named all of them: single polls then cost less than a sweep."""
    return len(due) <= FEW_HOOKED and all(prototype.generation.hook_is_newer for prototype in due)
