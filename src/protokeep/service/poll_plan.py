"""Which prototypes are looked at in a round, and what the builder is asked about each of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from protokeep.core.call_budget import CallAllowance, Priority, priority_of
from protokeep.core.prototype import UNFINISHED, TrackedPrototype
from protokeep.core.timing import Timing
from protokeep.providers.base import PollTarget, Provider

#: After so long without a word about what is being made, the heavier call may be made at every third look.
QUIET = timedelta(seconds=10)
CLOSELY_EVERY = 3


def within_budget(
    prototypes: Sequence[TrackedPrototype],
    room: CallAllowance,
    now: datetime,
    provider: Provider | None,
    *,
    batched: bool,
) -> tuple[list[TrackedPrototype], list[TrackedPrototype]]:
    """What may be looked at now, watched ones first, and what has to wait for want of calls."""
    ranked = sorted(((_rank(one, now), one) for one in prototypes), key=lambda pair: _ORDER.index(pair[0]))
    if provider is None or room.calls_per_minute is None:
        return [one for _, one in ranked], []
    if batched:
        rank, needed = ranked[0][0], provider.polling_cost(len(ranked))
        left, whole = room.left(rank) or 0, room.per_minute(rank) or 0
        everything = [one for _, one in ranked]
        return (everything, []) if left >= min(needed, whole) else ([], everything)
    looks: list[TrackedPrototype] = []
    put_off: list[TrackedPrototype] = []
    for rank, one in ranked:
        (looks if len(looks) < (room.left(rank) or 0) else put_off).append(one)
    return looks, put_off


_ORDER = list(Priority)


def _rank(prototype: TrackedPrototype, now: datetime) -> Priority:
    generation = prototype.generation
    return priority_of(generation.turn_at, generation.polling.watched_until, now)


def poll_target_of(prototype: TrackedPrototype, now: datetime, pace: Timing, *, few: bool) -> PollTarget:
    """What the builder is asked about. While it waits for an answer, a person may have given it on the chat's page:
    then the newest message counts. The heavier call is for what should have been told by the light one long ago."""
    generation = prototype.generation
    long_ago = now - generation.turn_at >= QUIET and generation.polling.poll_count % CLOSELY_EVERY == 0
    long_away = (
        generation.absence.missing_since is not None and now - generation.absence.missing_since >= pace.gone_after
    )
    return PollTarget(
        prototype.chat_id or "",
        None if generation.awaiting_input else generation.message_id,
        generation.created_at,
        previous_message_id=generation.follow_up.previous_message_id,
        baseline_message_id=generation.follow_up.baseline_message_id,
        thoroughly=generation.awaiting_input or long_ago,
        individually=prototype.status not in UNFINISHED or long_away or (few and generation.hook_is_newer),
    )
