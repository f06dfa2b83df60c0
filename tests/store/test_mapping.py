"""Which polls are recorded without telling viewers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from factories import NOW, after, prototype
from protokeep.core.prototype import Status, TrackedPrototype
from protokeep.core.visible_fields import visible_version
from protokeep.store.mapping import is_unchanged_poll


def polled_later(before: TrackedPrototype) -> TrackedPrototype:
    """The prototype after a poll that brought nothing."""
    polling = before.generation.polling
    return before.with_generation(
        polling=replace(polling, poll_count=polling.poll_count + 1, observed_at=NOW, next_poll_at=after(30))
    )


def test_a_poll_that_only_moved_its_own_times_is_unchanged() -> None:
    before = prototype(Status.IN_PROGRESS, chat_id="c-1", next_poll_at=NOW)

    assert is_unchanged_poll(before, polled_later(before))


@pytest.mark.parametrize("status", [Status.IN_PROGRESS, Status.COMPLETED, Status.TIMEOUT])
def test_people_see_when_a_missing_chat_is_polled_again(status: Status) -> None:
    before = prototype(status, chat_id="c-1", next_poll_at=NOW, missing_since=NOW, recovery_point="accepted")
    later = polled_later(before)

    assert visible_version(before) != visible_version(later)
    assert not is_unchanged_poll(before, later)
