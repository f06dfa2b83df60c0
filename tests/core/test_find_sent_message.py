"""Whether a follow-up's message is in its chat: found, certainly absent, or not to be told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from factories import NOW, after, prototype
from protokeep.core.conversation import Conversation, Message
from protokeep.core.follow_up import CannotTell, CertainlyAbsent, Found, SentMessage, find_sent_message
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Status, TrackedPrototype

TEXT = "Make it blue"
CLAIMED, SENT = RecoveryPoint.CLAIMED, RecoveryPoint.SENT


def follow_up(point: RecoveryPoint = SENT, **values: Any) -> TrackedPrototype:
    """A follow-up that was claimed at `NOW`, and sent a second later."""
    sent_at = after(1) if point is SENT else None
    given = {"turn": 2, "follow_up_message": TEXT, "follow_up_at": NOW, "sent_at": sent_at, **values}
    return prototype(Status.COMPLETED, recovery_point=point, **given)


def ours(message_id: str, created_at: datetime | None = None, content: str = TEXT) -> Message:
    """A message of a person with the follow-up's text."""
    return Message(message_id, "user", content, created_at)


def answer(message_id: str) -> Message:
    """A message of the provider."""
    return Message(message_id, "assistant", "Done.")


def find(prototype: TrackedPrototype, *newest_first: Message, whole: bool = True, trusted: bool = False) -> SentMessage:
    """The finding in a chat of these messages."""
    return find_sent_message(prototype, Conversation(newest_first, None, whole=whole), trusted=trusted)


class TestWithABaseline:
    def test_a_message_after_the_baseline_is_found(self) -> None:
        """Our text after the newest message from before the sending is our message."""
        sent = follow_up(baseline_message_id="b")

        assert find(sent, answer("a"), ours("m"), answer("b")) == Found(ours("m"))

    def test_the_same_text_before_the_baseline_is_not_ours(self) -> None:
        """The same words, said earlier, are not this message: it is certainly absent."""
        sent = follow_up(baseline_message_id="b")

        assert find(sent, answer("b"), ours("m")) == CertainlyAbsent()
        assert find(sent, ours("m", content="Something else"), answer("b")) == CertainlyAbsent()

    def test_white_space_does_not_matter(self) -> None:
        """Providers may trim a message."""
        sent = follow_up(baseline_message_id="b")
        trimmed = ours("m", content=f"  {TEXT}\n")

        assert find(sent, trimmed, answer("b")) == Found(trimmed)

    def test_an_empty_chat_before_the_sending(self) -> None:
        """Where the chat held nothing, everything in it is newer; only a whole reading says so."""
        sent = follow_up(baseline_message_id="")

        assert find(sent, ours("m")) == Found(ours("m"))
        assert find(sent) == CertainlyAbsent()
        assert find(sent, ours("m"), whole=False) == CannotTell()


class TestWithoutABaseline:
    def test_a_trusted_claim_was_never_sent(self) -> None:
        """A row of this database that says that nothing was sent is right, whatever the chat holds."""
        assert find(follow_up(CLAIMED), ours("m", after(5)), trusted=True) == CertainlyAbsent()

    def test_a_claim_of_an_older_copy_is_searched_after_the_last_known_message(self) -> None:
        """A row of an older copy may have been sent since: the last known message is the baseline then."""
        claimed = follow_up(CLAIMED, known_message_id="k")

        assert find(claimed, ours("m"), answer("k")) == Found(ours("m"))
        assert find(claimed, answer("k"), ours("m")) == CertainlyAbsent()


class TestByTime:
    """The baseline is out of sight: the newest messages do not reach back to it."""

    @pytest.mark.parametrize("point", [CLAIMED, SENT])
    def test_a_message_since_the_sending_is_found(self, point: RecoveryPoint) -> None:
        """The oldest one of these is ours: a later one was sent by somebody else."""
        one = follow_up(point, baseline_message_id="far away")

        assert find(one, ours("m2", after(9)), ours("m1", after(2)), whole=False) == Found(ours("m1", after(2)))

    @pytest.mark.parametrize("created_at", [None, after(-1), after(1) - timedelta(minutes=5)])
    def test_a_message_that_may_be_ours_is_no_leave_to_send(self, created_at: datetime | None) -> None:
        """A message without a time, or within the slack of the clocks, leaves it undecided."""
        one = follow_up(CLAIMED, baseline_message_id="far away", sent_at=after(1))

        assert find(one, ours("m", created_at), whole=False) == CannotTell()

    def test_a_much_older_message_is_not_ours(self) -> None:
        """What is clearly older proves nothing about a message that was sent, but lets a claimed one be sent."""
        old = ours("m", after(-3600))

        assert find(follow_up(CLAIMED, known_message_id="far away"), old, whole=False) == CertainlyAbsent()
        assert find(follow_up(SENT, baseline_message_id="far away"), old, whole=False) == CannotTell()


class TestAnswers:
    def test_the_answer_right_after_a_message(self) -> None:
        """The assistant's message that follows ours is its answer; without one there is none yet."""
        chat = Conversation([ours("n"), answer("a"), ours("m"), answer("b")], None, whole=True)

        assert chat.answer_to(ours("m")) == "a"
        assert chat.answer_to(ours("n")) is None
