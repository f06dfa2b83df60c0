"""The targets of a round of polls: the question to the provider about each chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from protokeep.core.poll_plan import FEW_HOOKED
from protokeep.core.prototype import UNFINISHED, TrackedPrototype
from protokeep.core.timing import Timing
from protokeep.providers.base import PollTarget

#: After so long without news of a turn, the heavier call may be made at every third poll.
QUIET = timedelta(seconds=10)
THOROUGH_EVERY = 3


def poll_targets(
    prototypes: Sequence[TrackedPrototype], missing: Sequence[TrackedPrototype], now: datetime, timing: Timing
) -> list[PollTarget]:
    """The targets of a round. `missing`: prototypes that a list may show by the way, without a call of their own."""
    few = len(prototypes) <= FEW_HOOKED
    targets = [poll_target_of(prototype, now, timing, few=few) for prototype in prototypes]
    polled = {target.chat_id for target in targets}
    by_the_way = [poll_target_of(prototype, now, timing, few=False) for prototype in missing]
    return targets + [
        replace(target, individually=False, only_if_listed=True)
        for target in by_the_way
        if target.chat_id not in polled
    ]


def poll_target_of(prototype: TrackedPrototype, now: datetime, timing: Timing, *, few: bool) -> PollTarget:
    """The question about one chat. `few`: the round is so small that a call for each hooked chat pays.

    While the provider waits for an answer, a person may have given it on the chat's page: then the newest message
    counts. The heavier call is for a turn whose end the light call should have told long ago.
    """
    generation = prototype.generation
    missing_since = generation.absence.missing_since
    is_quiet = now - generation.turn_at >= QUIET and generation.polling.poll_count % THOROUGH_EVERY == 0
    long_away = missing_since is not None and now - missing_since >= timing.gone_after
    return PollTarget(
        prototype.chat_id or "",
        None if generation.awaiting_input else generation.message_id,
        generation.created_at,
        previous_message_id=generation.follow_up.previous_message_id,
        baseline_message_id=generation.follow_up.baseline_message_id,
        thoroughly=generation.awaiting_input or is_quiet,
        individually=prototype.status not in UNFINISHED or long_away or (few and generation.hook_is_newer),
    )
