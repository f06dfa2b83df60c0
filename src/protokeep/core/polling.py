"""A poll: how a prototype changes by what the provider answered about its chat, as pure functions.

The poll clock counts only time in which somebody polled and the provider showed the chat. A poll that comes much
later than it was due moves the deadline on, and so does the time in which the chat was not visible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protokeep.core import absence
from protokeep.core.absence import AccountVisibility
from protokeep.core.generation import GONE
from protokeep.core.prototype import UNFINISHED, Observation, ObservedState, Status, TrackedPrototype, advance
from protokeep.core.timing import Timing, next_poll


@dataclass(frozen=True, slots=True)
class ChatShown:
    """The provider described the chat. `is_partial`: a list did, but the chat itself could not be read."""

    observation: Observation
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class ChatMissing:
    """The provider answered that there is no such chat. `account` tells whether to believe that; None: never."""

    account: AccountVisibility | None = None


@dataclass(frozen=True, slots=True)
class ChatUnreadable:
    """The answer about the chat made no sense."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The poll brought nothing about the chat."""


@dataclass(frozen=True, slots=True)
class PollsPaused:
    """The provider wants no polls for this duration, and was not asked about the chat."""

    duration: timedelta


PollAnswer = ChatShown | ChatMissing | ChatUnreadable | NoAnswer | PollsPaused


def polled(
    prototype: TrackedPrototype,
    answer: PollAnswer,
    now: datetime,
    timing: Timing,
    *,
    batched: bool,
    unwatched_pause: timedelta | None = None,
) -> TrackedPrototype:
    """The prototype after a poll: first the answer counts, then the poll clock; then the next poll is set.

    `batched`: one call reports many chats. `unwatched_pause`: a prototype that nobody watches is not polled again
    before this time is over.
    """
    before = absence.deadline_extended(prototype, now, timing)
    if isinstance(answer, PollsPaused):
        return absence.polling_paused(before, now, now + answer.duration, timing)
    after = _expired(_answered(before, answer, now, timing), now)
    due = _next_poll(after, now, timing, batched=batched, unwatched_pause=unwatched_pause)
    if due is not None and _is_unreadable(answer):
        due = max(due, now + timing.unreadable_pause)
    polling = after.generation.polling
    after = after.with_generation(polling=replace(polling, poll_count=polling.poll_count + 1, next_poll_at=due))
    if isinstance(answer, ChatShown) and prototype.status is Status.COMPLETED and after.generation.finalize_at is None:
        return after.with_generation(finalize_at=now)  # The links are checked as often as the chat is polled.
    return after


def _is_unreadable(answer: PollAnswer) -> bool:
    return isinstance(answer, ChatUnreadable) or (isinstance(answer, ChatShown) and answer.is_partial)


def _answered(prototype: TrackedPrototype, answer: PollAnswer, now: datetime, timing: Timing) -> TrackedPrototype:
    match answer:
        case ChatShown(observation=observation):
            return _shown(prototype, observation, now, timing)
        case ChatMissing(account):
            return not_shown(prototype, account, now, timing)
        case _:
            return prototype


def _shown(prototype: TrackedPrototype, observation: Observation, now: datetime, timing: Timing) -> TrackedPrototype:
    after = advance(absence.recorded_shown(prototype, now, timing), observation, now)
    answered = prototype.generation.awaiting_input and not after.generation.awaiting_input
    if after.status in UNFINISHED and (prototype.status is Status.FAILED or answered):
        # Generating goes on after the chat counted as gone, or after a person's answer: the poll clock begins anew.
        polling = replace(after.generation.polling, deadline_at=now + timing.poll_timeout)
        return after.with_generation(polling=polling)
    return after


def not_shown(
    prototype: TrackedPrototype, account: AccountVisibility | None, now: datetime, timing: Timing
) -> TrackedPrototype:
    """The prototype after a "not found". Its status changes only where `account` shows that the chat is gone."""
    after = absence.recorded_missing(prototype, now)
    if account is None or not absence.is_gone(after.generation, account, now, timing):
        return after
    gone = Observation(ObservedState.GONE, error_code=GONE, error_message=absence.GONE_MESSAGE)
    return advance(after, gone, now)


def _expired(prototype: TrackedPrototype, now: datetime) -> TrackedPrototype:
    """Nothing times out while it is not visible, or while it waits for a person."""
    generation = prototype.generation
    clock_stands = generation.absence.missing_since is not None or generation.awaiting_input
    deadline_at = generation.polling.deadline_at
    if prototype.status not in UNFINISHED or clock_stands or deadline_at is None or now < deadline_at:
        return prototype
    return advance(prototype, Observation(ObservedState.EXPIRED), now)


def _next_poll(
    prototype: TrackedPrototype, now: datetime, timing: Timing, *, batched: bool, unwatched_pause: timedelta | None
) -> datetime | None:
    generation = prototype.generation
    if generation.absence.missing_since is not None:
        return absence.next_poll_of_missing(prototype, now, timing)
    due = next_poll(prototype, now, timing, batched=batched)
    if unwatched_pause is None or due is None or prototype.status not in UNFINISHED:
        return due
    polling = generation.polling
    return due if polling.is_watched(now) or due == polling.deadline_at else max(due, now + unwatched_pause)
