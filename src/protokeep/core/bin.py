"""The bin: a prototype that somebody deleted waits there, with its chat, and can be taken back.

    in use -> in the bin -> being deleted (`core.deletion`)
                 `-> in use

Nothing happens to the chat in the bin: it is not polled, and a follow-up that was not taken yet waits.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from protokeep.core.generation import Reason
from protokeep.core.prototype import SETTLED, UNFINISHED, TrackedPrototype
from protokeep.core.timing import Timing

#: The code of a prototype in the bin whose chat was not copied; the message says why, and what follows.
NOT_ARCHIVED = "not_archived"
#: A copy that failed is tried again after this, and ever more rarely.
RETRY_PAUSE = timedelta(minutes=5)
#: A deletion waits so long beyond its time for a copy that an app builder does not give at present.
LONGEST_DELAY = timedelta(days=1)


def put_into_bin(prototype: TrackedPrototype, now: datetime, due_at: datetime, user_id: str) -> TrackedPrototype:
    """Somebody deleted it: it goes at `due_at`. Its chat is copied soon."""
    generation = prototype.generation
    return replace(
        prototype.with_generation(
            submission=generation.submission.waiting(now),
            deletion_due_at=due_at,
            deletion_requested_by=user_id,
            polling=replace(generation.polling, next_poll_at=None),
            # Time in the bin proves nothing about the chat.
            absence=generation.absence.ended() if generation.is_account_known else generation.absence,
            hold=Reason(),
        ),
        updated_at=now,
        is_current=False,
    )


def archived(prototype: TrackedPrototype, archive_id: str | None) -> TrackedPrototype:
    """A copy of its chat is here, and was read back."""
    submission = replace(prototype.generation.submission, next_try_at=None)
    return prototype.with_generation(archive_id=archive_id, submission=submission, hold=Reason())


def not_archived(prototype: TrackedPrototype, why: str, until: datetime | None) -> TrackedPrototype:
    """Its chat could not be copied. It is tried again at `until`; None: it would fail again."""
    follows = "protokeep tries again." if until else "It can be taken back until it goes, and not afterwards."
    message = f"Its chat could not be copied: {why} {follows}"
    submission = replace(prototype.generation.submission, next_try_at=until)
    return prototype.with_generation(submission=submission, hold=Reason(NOT_ARCHIVED, message))


def retry_at(prototype: TrackedPrototype, now: datetime) -> datetime:
    """When a copy that failed is tried again: about fifteen times in a week."""
    return now + max(RETRY_PAUSE, (now - prototype.updated_at) / 2)


def may_wait_for_archive(prototype: TrackedPrototype, now: datetime) -> bool:
    """Whether its deletion may wait for a copy that is not to be had at present."""
    due_at = prototype.generation.deletion_due_at
    return due_at is not None and now < due_at + LONGEST_DELAY


def taken_back(prototype: TrackedPrototype, now: datetime, timing: Timing) -> TrackedPrototype:
    """It is in use again: an unfinished one is polled at once, and a follow-up that waited is sent.

    Whether it is the product's current one again is decided by the slot.
    """
    generation = prototype.generation
    submission, polling = generation.submission, generation.polling
    is_polled = (
        not submission.is_open
        and prototype.chat_id is not None
        and generation.is_account_known
        and prototype.status not in SETTLED
    )
    if prototype.status in UNFINISHED and polling.deadline_at is not None:
        polling = replace(polling, deadline_at=now + timing.poll_timeout)
    return replace(
        prototype.with_generation(
            submission=submission.waiting(now) if submission.is_open else submission.released(),
            deletion_due_at=None,
            deletion_requested_by=None,
            archive_id=None,
            polling=replace(polling, next_poll_at=now if is_polled else None),
            hold=Reason(),
        ),
        updated_at=now,
    )
