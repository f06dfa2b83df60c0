"""A deletion, here and at the provider: every step as a pure change of the prototype.

The row stays until the provider has deleted the chat. Until then it shows the reason.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from protokeep.core.absence import NOT_VISIBLE
from protokeep.core.errors import ProviderError
from protokeep.core.generation import Reason, RecoveryPoint, Submission
from protokeep.core.prototype import TrackedPrototype


def deletion_requested(prototype: TrackedPrototype, now: datetime) -> TrackedPrototype:
    """Somebody asked for the deletion: it is tried at once, and the chat is not polled any more.

    Answers of "not found" are counted anew.
    """
    generation = prototype.generation
    return replace(
        prototype.with_generation(
            submission=_submission_of_deletion(prototype, now),
            deletion_requested_at=now,
            deletion_due_at=None,
            polling=replace(generation.polling, next_poll_at=None),
            absence=generation.absence.ended(),
            finalize_at=None,
            hold=Reason(),
        ),
        updated_at=now,
        is_current=False,
    )


def _submission_of_deletion(prototype: TrackedPrototype, now: datetime) -> Submission:
    """A prototype with a chat has nothing left to send; the fate of another one is decided first."""
    submission = prototype.generation.submission
    retry_at = submission.next_try_at if submission.was_sent else now
    if prototype.chat_id is None:
        return replace(submission, next_try_at=retry_at)
    return replace(submission, recovery_point=RecoveryPoint.SETTLED).released(retry_at)


def deletion_not_visible(prototype: TrackedPrototype, until: datetime) -> TrackedPrototype:
    """The provider says that there is no such chat, which does not prove it: the deletion is tried again."""
    message = (
        f"{prototype.provider} does not show the chat at present. That does not prove that it is gone, so protokeep "
        "tries its deletion again."
    )
    return prototype.with_generation(
        submission=replace(prototype.generation.submission, next_try_at=until), hold=Reason(NOT_VISIBLE, message)
    )


def deletion_failed(prototype: TrackedPrototype, error: ProviderError, until: datetime) -> TrackedPrototype:
    """The provider did not delete the chat. It is tried again at `until`; people see the reason."""
    submission = prototype.generation.submission
    return prototype.with_generation(
        submission=replace(submission, attempts=submission.attempts + 1, next_try_at=until),
        hold=Reason(error.code, f"The app builder has not deleted it yet: {error}"),
    )
