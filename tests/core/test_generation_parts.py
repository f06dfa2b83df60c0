"""The parts of a generation: how a lease is released, and what is known of a request afterwards."""

from __future__ import annotations

import pytest

from factories import NOW, after, prototype
from protokeep.core.generation import Absence, Links, Polling, RecoveryPoint, Submission
from protokeep.core.prototype import State, Status

CLAIMED, SENT, ACCEPTED, SETTLED = RecoveryPoint
HELD = Submission(
    SENT, fence=3, attempts=2, lookups=1, outcome_unknown=True, sent_at=NOW, lease_until=after(6), next_try_at=NOW
)


class TestSubmission:
    def test_a_release_takes_the_lease_and_sets_the_next_try(self) -> None:
        """Everything else stays as it was."""
        released = HELD.released(after(60))

        assert (released.lease_until, released.next_try_at) == (None, after(60))
        assert (released.recovery_point, released.fence, released.attempts, released.sent_at) == (SENT, 3, 2, NOW)
        assert HELD.released().next_try_at is None

    def test_an_answer_leaves_nothing_to_try(self) -> None:
        """A known answer ends the lease, the tries and the doubt."""
        answered = HELD.answered(ACCEPTED)

        assert (answered.recovery_point, answered.outcome_unknown) == (ACCEPTED, False)
        assert (answered.lease_until, answered.next_try_at) == (None, None)

    def test_unsent_is_as_before_the_first_sending(self) -> None:
        """The attempts still count, so that pauses grow."""
        unsent = HELD.unsent()

        assert (unsent.recovery_point, unsent.sent_at, unsent.lookups) == (CLAIMED, None, 0)
        assert (unsent.outcome_unknown, unsent.attempts) == (False, 2)

    @pytest.mark.parametrize(("point", "unknown"), [(CLAIMED, False), (SENT, True)])
    def test_waiting_keeps_what_is_known(self, point: RecoveryPoint, unknown: bool) -> None:
        """Only a request that was sent has an unknown outcome."""
        waiting = Submission(point, lease_until=after(6)).waiting(after(60))

        assert (waiting.outcome_unknown, waiting.lease_until, waiting.next_try_at) == (unknown, None, after(60))

    @pytest.mark.parametrize(("point", "is_open"), [(CLAIMED, True), (SENT, True), (ACCEPTED, False), (SETTLED, False)])
    def test_open_until_it_is_accepted(self, point: RecoveryPoint, is_open: bool) -> None:
        """A claimed or sent request is not with the provider for certain."""
        assert Submission(point).is_open is is_open


def test_watched_until_its_time_is_over() -> None:
    """Somebody watches until `watched_until`, and not a moment longer."""
    assert not Polling().is_watched(NOW)
    assert Polling(watched_until=after(1)).is_watched(NOW)
    assert not Polling(watched_until=NOW).is_watched(NOW)


def test_an_absence_that_ended_keeps_the_last_sight() -> None:
    """When the chat was last shown stays known."""
    missing = Absence(missing_since=NOW, missing_polls=3, last_missing_at=after(9), last_shown_at=after(-9))

    assert missing.ended() == Absence(last_shown_at=after(-9))


def test_the_best_link() -> None:
    """The preview, else the page at the provider, else the chat."""
    assert Links("demo", "web", "chat").best == "demo"
    assert Links(None, "web", "chat").best == "web"
    assert Links(chat_url="chat").best == "chat"
    assert Links().best is None


def test_a_question_of_an_undecided_create() -> None:
    """A create whose answer was lost is undecided, whatever else is known of it."""
    lost = prototype(Status.PENDING, recovery_point=SENT, outcome_unknown=True, awaiting_input=True)

    assert lost.state is State.UNDECIDED
