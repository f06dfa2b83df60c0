"""A prototype whose chat was deleted and made again: it leads to the new chat from then on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from protokeep.core.generation import Absence, Links, Reason, RecoveryPoint
from protokeep.core.prototype import TrackedPrototype


def chat_made_again(prototype: TrackedPrototype, chat_id: str, now: datetime) -> TrackedPrototype:
    """The prototype with its new chat, which is polled at once: its addresses are read from the app builder again."""
    generation = prototype.generation
    submission = generation.submission
    if submission.recovery_point is RecoveryPoint.SETTLED:
        submission = replace(submission, recovery_point=RecoveryPoint.ACCEPTED)
    return replace(
        prototype.with_generation(
            submission=submission,
            message_id=None,
            error=Reason(),
            absence=Absence(),
            links=Links(),
            settled_at=None,
            polling=replace(generation.polling, next_poll_at=now, deadline_at=None),
        ),
        chat_id=chat_id,
        project_url=None,
        updated_at=now,
    )
