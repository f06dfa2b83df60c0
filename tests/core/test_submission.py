"""What becomes of a generation, step by step."""

from __future__ import annotations

import pytest

from factories import NOW, after, generation, prototype
from protokeep.core.generation import RecoveryPoint
from protokeep.core.submission import about_to_send
from protokeep.core.timing import Timing
from tracked import generation_of

SENDABLE = (RecoveryPoint.CLAIMED, RecoveryPoint.SENT)


@pytest.mark.parametrize("point", SENDABLE)
def test_a_claimed_or_surely_absent_create_is_sent_as_one_more_try(point: RecoveryPoint) -> None:
    """
    What is claimed, or was sent and is surely not there, is sent as one try more.
    """
    waiting = prototype(generation=generation(recovery_point=point, attempts=1, lookups=3))

    sent = generation_of(about_to_send(waiting, after(60), Timing()))

    assert (sent.submission.recovery_point, sent.submission.attempts, sent.submission.lookups) == (
        RecoveryPoint.SENT,
        2,
        0,
    )
    assert (sent.submission.sent_at, sent.submission.next_try_at) == (after(60), after(60))
    assert sent.submission.lease_until == after(60) + Timing().lease


@pytest.mark.parametrize("point", [point for point in RecoveryPoint if point not in SENDABLE])
def test_an_accepted_create_is_never_sent(point: RecoveryPoint) -> None:
    """
    What the builder has accepted is not sent, whoever asks for it.
    """
    with pytest.raises(ValueError, match="not sent again"):
        about_to_send(prototype(generation=generation(recovery_point=point)), NOW, Timing())
