"""A create, and the sending of anything: every step as a pure change of the prototype.

    claimed -> sent -> accepted -> settled

Each function takes the prototype as it is written and returns it as it shall be; the store guards the write by the
version of the row.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from protokeep.core.errors import UNCLEAR_REFUSAL, ProviderError, ProviderRejected
from protokeep.core.generation import Generation, Reason, RecoveryPoint
from protokeep.core.prototype import Observation, ObservedState, TrackedPrototype, advance
from protokeep.core.timing import Timing, backoff, next_lookup, next_poll

#: The hold of a prototype whose account has no key, as a stable word.
NO_KEY = "no_key"


def about_to_send(prototype: TrackedPrototype, now: datetime, timing: Timing) -> TrackedPrototype:
    """Written and committed before the call: from here on something may exist at the provider.

    The lease begins anew: a call that would begin after it is not made.

    Raises `ValueError` for a request that the provider has accepted: it must not be sent again.
    """
    submission = prototype.generation.submission
    if not submission.is_open:
        raise ValueError(f"{prototype.id} was accepted; it is not sent again")
    return prototype.with_generation(
        submission=replace(
            submission,
            recovery_point=RecoveryPoint.SENT,
            sent_at=now,
            lease_until=now + timing.lease,
            attempts=submission.attempts + 1,
            lookups=0,
            outcome_unknown=False,
            next_try_at=now,  # A process that finds the lease expired goes on from here, at once.
        ),
        hold=Reason(),
    )


def accepted(
    prototype: TrackedPrototype,
    *,
    chat_id: str,
    message_id: str | None,
    project_id: str | None,
    observation: Observation | None,
    now: datetime,
    timing: Timing,
    batched: bool,
    newest_message_id: str | None = None,
) -> TrackedPrototype:
    """The ids of the chat are known, from the provider's answer or from a look-up. The poll clock starts here."""
    generation = prototype.generation
    after = replace(
        prototype.with_generation(
            submission=generation.submission.answered(RecoveryPoint.ACCEPTED),
            hold=Reason(),
            error=Reason(),
            message_id=message_id,
            follow_up=replace(generation.follow_up, known_message_id=newest_message_id),
            polling=replace(generation.polling, deadline_at=now + timing.poll_timeout),
        ),
        chat_id=chat_id,
        project_id=project_id if project_id != chat_id else None,
        updated_at=now,
    )
    if observation is not None:
        after = advance(after, observation, now)
    due = next_poll(after, now, timing, batched=batched)
    return after.with_generation(polling=replace(after.generation.polling, next_poll_at=due))


def refused(prototype: TrackedPrototype, error: ProviderError, now: datetime) -> TrackedPrototype:
    """The provider refused and made nothing; it would refuse the same request again."""
    failed = advance(prototype, Observation(ObservedState.BROKE, error_code=error.code, error_message=str(error)), now)
    submission = failed.generation.submission
    return failed.with_generation(submission=submission.answered(submission.recovery_point), hold=Reason())


def parked(prototype: TrackedPrototype, *, until: datetime, code: str, message: str) -> TrackedPrototype:
    """Nothing reached the provider. The request goes on by itself at `until`; people see the reason."""
    submission = prototype.generation.submission.unsent().released(until)
    return prototype.with_generation(submission=submission, hold=Reason(code, message))


def waiting_for_key(prototype: TrackedPrototype, until: datetime, message: str) -> TrackedPrototype:
    """The account has no key to send or to look up with. The request waits; a sent request stays sent."""
    submission = prototype.generation.submission.waiting(until)
    return prototype.with_generation(submission=submission, hold=Reason(NO_KEY, message))


def unreachable(prototype: TrackedPrototype, error: ProviderError, now: datetime, timing: Timing) -> TrackedPrototype:
    """Nothing was sent. The request is tried again with growing pauses."""
    pause = backoff(prototype.generation.submission.attempts, timing)
    return parked(prototype, until=now + pause, code=error.code, message=str(error))


def outcome_unknown(
    prototype: TrackedPrototype, error: ProviderError | None, now: datetime, timing: Timing
) -> TrackedPrototype:
    """Sent without a trustworthy answer: the next step is a look-up, never another call."""
    generation = prototype.generation
    submission = generation.submission.released(next_lookup(generation, now, timing))
    return prototype.with_generation(
        submission=replace(submission, outcome_unknown=True),
        hold=Reason(),
        error=Reason(error.code, str(error)) if error else generation.error,
    )


def not_found(prototype: TrackedPrototype, now: datetime, timing: Timing, *, counted: bool) -> TrackedPrototype:
    """A look-up found no chat of ours. `counted`: it saw the whole list, late enough to decide."""
    generation = prototype.generation
    submission = generation.submission.waiting(next_lookup(generation, now, timing))
    lookups = submission.lookups + (1 if counted else 0)
    return prototype.with_generation(submission=replace(submission, lookups=lookups), hold=Reason())


def deferred_refusal(generation: Generation) -> ProviderRejected | None:
    """The refusal behind an unclear answer, if the request was sent twice and nothing was found. None: send again."""
    sent_twice = generation.submission.was_sent and generation.submission.attempts >= 2
    if not sent_twice or generation.error.code != UNCLEAR_REFUSAL:
        return None
    return ProviderRejected(generation.error.message or "The app builder refused it.", code="refused")
