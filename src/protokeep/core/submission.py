"""How far a create got: every step of a submit as a pure change of the prototype.

    claimed -> sent -> accepted -> settled

Each function takes what is written and returns what shall be; the store writes it guarded by the version.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from protokeep.core import absence
from protokeep.core.absence import AccountVisibility
from protokeep.core.errors import UNCLEAR_REFUSAL, ProviderError, ProviderRejected
from protokeep.core.prototype import (
    GONE,
    UNFINISHED,
    Generation,
    Observation,
    ObservedState,
    Prototype,
    RecoveryPoint,
    Status,
    advance,
    generation_of,
)
from protokeep.core.timing import Timing, backoff, next_lookup, next_poll

#: The hold of what waits for a key, as a stable word.
NO_KEY = "no_key"


def _with(prototype: Prototype, **changes: Any) -> Prototype:
    return replace(prototype, generation=replace(generation_of(prototype), **changes))


def about_to_send(prototype: Prototype, now: datetime, pace: Timing) -> Prototype:
    """Written and committed before the call: from here on something may exist at the builder.

    The lease begins anew: a call that would begin after it is not made.

    Raises `ValueError` for one that the builder has accepted: it is not sent, whoever asks for it.
    """
    if generation_of(prototype).recovery_point not in (RecoveryPoint.CLAIMED, RecoveryPoint.SENT):
        raise ValueError(f"{prototype.id} was accepted; it is not sent again")
    return _with(
        prototype,
        recovery_point=RecoveryPoint.SENT,
        sent_at=now,
        lease_until=now + pace.lease,
        attempts=generation_of(prototype).attempts + 1,
        lookups=0,
        outcome_unknown=False,
        hold_code=None,
        hold_message=None,
        next_try_at=now,  # Whoever finds the lease run out goes on from here, at once.
    )


def accepted(
    prototype: Prototype,
    *,
    chat_id: str,
    message_id: str | None,
    project_id: str | None,
    seen: Observation | None,
    now: datetime,
    pace: Timing,
    batched: bool,
    newest_message_id: str | None = None,
) -> Prototype:
    """The builder's ids are known, from its answer or from a look-up. The poll clock starts here."""
    known = replace(
        _with(
            prototype,
            recovery_point=RecoveryPoint.ACCEPTED,
            outcome_unknown=False,
            hold_code=None,
            hold_message=None,
            error_code=None,
            error_message=None,
            lease_until=None,
            next_try_at=None,
            message_id=message_id,
            known_message_id=newest_message_id,
            deadline_at=now + pace.poll_timeout,
        ),
        chat_id=chat_id,
        project_id=project_id if project_id != chat_id else None,
        updated_at=now,
    )
    if seen is not None:
        known = advance(known, seen, now)
    return _with(known, next_poll_at=next_poll(known, now, pace, batched=batched))


def refused(prototype: Prototype, error: ProviderError, now: datetime) -> Prototype:
    """The builder said no and made nothing; the same request would be refused again."""
    failed = advance(prototype, Observation(ObservedState.BROKE, error_code=error.code, error_message=str(error)), now)
    return _with(failed, lease_until=None, next_try_at=None, outcome_unknown=False, hold_code=None, hold_message=None)


def parked(prototype: Prototype, now: datetime, *, until: datetime, code: str, message: str) -> Prototype:
    """Nothing was made; it goes on by itself at `until`. The reason is for people to see."""
    return _with(
        prototype,
        recovery_point=RecoveryPoint.CLAIMED,
        sent_at=None,
        outcome_unknown=False,
        lookups=0,
        lease_until=None,
        next_try_at=until,
        hold_code=code,
        hold_message=message,
    )


def waiting_for_key(prototype: Prototype, until: datetime, message: str) -> Prototype:
    """There is no key to send or to look with: it waits, and keeps what is known of a create that was sent."""
    sent = generation_of(prototype).recovery_point is RecoveryPoint.SENT
    return _with(
        prototype, outcome_unknown=sent, lease_until=None, next_try_at=until, hold_code=NO_KEY, hold_message=message
    )


def unreachable(prototype: Prototype, error: ProviderError, now: datetime, pace: Timing) -> Prototype:
    """Nothing was sent; try again with growing pauses."""
    pause = backoff(generation_of(prototype).attempts, pace)
    return parked(prototype, now, until=now + pause, code=error.code, message=str(error))


def outcome_unknown(prototype: Prototype, error: ProviderError | None, now: datetime, pace: Timing) -> Prototype:
    """Sent, and no answer that can be trusted: the next step is a look-up, never another create."""
    generation = generation_of(prototype)
    return _with(
        prototype,
        outcome_unknown=True,
        lease_until=None,
        next_try_at=next_lookup(generation, now, pace),
        hold_code=None,
        hold_message=None,
        error_code=error.code if error else generation.error_code,
        error_message=str(error) if error else generation.error_message,
    )


def not_found(prototype: Prototype, now: datetime, pace: Timing, *, counted: bool) -> Prototype:
    """A look-up found no chat with our marker; `counted` only when it saw all, and every list would show one."""
    generation = generation_of(prototype)
    return _with(
        prototype,
        outcome_unknown=generation.recovery_point is RecoveryPoint.SENT,
        lookups=generation.lookups + (1 if counted else 0),
        lease_until=None,
        next_try_at=next_lookup(generation, now, pace),
        hold_code=None,
        hold_message=None,
    )


def deferred_refusal(generation: Generation) -> ProviderRejected | None:
    """The refusal that an unclear answer was: sent twice, and nothing of it was found. None: it may be sent again."""
    sent_again = generation.recovery_point is RecoveryPoint.SENT and generation.attempts >= 2
    if not sent_again or generation.error_code != UNCLEAR_REFUSAL:
        return None
    return ProviderRejected(generation.error_message or "The builder refused it.", code="refused")


def polled(
    prototype: Prototype,
    seen: Observation | None,
    now: datetime,
    pace: Timing,
    *,
    batched: bool,
    missing: bool = False,
    around: AccountVisibility | None = None,
    unread: bool = False,
    rest: timedelta | None = None,
    paused: timedelta | None = None,
) -> Prototype:
    """After a look: what the builder said (None: it could not be read), then our own clock, then the next look.

    `missing`: the builder answered that there is no such chat; `around` tells whether that may be believed. `unread`:
    there was an answer, and it made no sense. `rest`: no sooner again than after this, unless watched. `paused`: the
    builder wants no looks for so long, and was not asked about this one.

    The poll clock counts only time in which somebody looked and the builder showed the chat: a look that comes much
    later than it was due moves the deadline on, and so does the time in which the chat was not visible.
    """
    before = absence.deadline_extended(prototype, now, pace)
    if paused is not None:
        return absence.polling_paused(before, now, now + paused, pace)
    if seen is not None:
        after = _shown(before, seen, now, pace)
    elif missing:
        after = not_shown(before, around, now, pace)
    else:
        after = before
    after = _expired(after, now)
    current = generation_of(after)
    due = _next_look(after, now, pace, batched=batched, rest=rest)
    if unread and due is not None:
        due = max(due, now + pace.unreadable_pause)
    if seen is not None and prototype.status is Status.COMPLETED and current.finalize_at is None:
        current = replace(current, finalize_at=now)  # It was worth a look: its links are, too.
    return replace(after, generation=replace(current, poll_count=current.poll_count + 1, next_poll_at=due))


def _shown(prototype: Prototype, seen: Observation, now: datetime, pace: Timing) -> Prototype:
    after = advance(absence.recorded_shown(prototype, now, pace), seen, now)
    generation = generation_of(after)
    answered = generation_of(prototype).awaiting_input and not generation.awaiting_input
    if after.status in UNFINISHED and (prototype.status is Status.FAILED or answered):
        # It goes on after it counted as gone, or after a person's answer: so does its clock, from the beginning.
        return _with(after, deadline_at=now + pace.poll_timeout)
    return after


def not_shown(prototype: Prototype, around: AccountVisibility | None, now: datetime, pace: Timing) -> Prototype:
    """After a "not found". It counts as gone only where `around` lets it; until then its status stays."""
    after = absence.recorded_missing(prototype, now)
    if around is None or not absence.is_gone(generation_of(after), around, now, pace):
        return after
    gone = Observation(ObservedState.GONE, error_code=GONE, error_message=absence.GONE_MESSAGE)
    return advance(after, gone, now)


def _expired(prototype: Prototype, now: datetime) -> Prototype:
    """Nothing times out while it is not visible, or while it waits for a person."""
    generation = generation_of(prototype)
    rests = generation.missing_since is not None or generation.awaiting_input
    if prototype.status not in UNFINISHED or rests or generation.deadline_at is None or now < generation.deadline_at:
        return prototype
    return advance(prototype, Observation(ObservedState.EXPIRED), now)


def _next_look(
    prototype: Prototype, now: datetime, pace: Timing, *, batched: bool, rest: timedelta | None
) -> datetime | None:
    generation = generation_of(prototype)
    if generation.missing_since is not None:
        return absence.next_poll_of_missing(prototype, now, pace)
    due = next_poll(prototype, now, pace, batched=batched)
    if rest is not None and due is not None and prototype.status in UNFINISHED:
        watched = generation.watched_until is not None and generation.watched_until > now
        return due if watched or due == generation.deadline_at else max(due, now + rest)
    return due
