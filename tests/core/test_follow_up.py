"""Follow-ups that wait for their chat, deletions, and previews that do not open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from factories import NOW, after, generation, prototype, with_values
from protokeep.core.deletion import deletion_not_visible, deletion_requested
from protokeep.core.follow_up import abandoned, chat_not_shown, gone_message, requested
from protokeep.core.generation import RecoveryPoint
from protokeep.core.links import links_checked, next_link_check
from protokeep.core.prototype import State, Status, TrackedPrototype
from protokeep.core.timing import Timing
from tracked import generation_of

PACE = Timing()
LINKS = {"demo_url": "https://demo/1", "web_url": "https://web/1"}


def checks(one: TrackedPrototype, *answers: tuple[float, bool | None]) -> TrackedPrototype:
    """After looks at the preview: (seconds, whether it opened)."""
    for seconds, opens in answers:
        one = links_checked(one, opens, after(seconds), PACE)
    return one


class TestLinks:
    def ready(self, **values: Any) -> TrackedPrototype:
        given: dict[str, Any] = {**LINKS, **values}
        return prototype(Status.COMPLETED, project_url=LINKS["demo_url"], **given)

    @pytest.mark.parametrize(
        "answers",
        [
            [(0, False)],
            [(0, False), (1000, False)],
            [(0, False), (100, False), (299, False)],
            [(0, False), (100, None), (300, False)],
            [(0, False), (100, True), (300, False), (400, False)],
            [(3600, False), (0, False), (100, False)],
        ],
    )
    def test_fewer_than_three_404s_or_five_minutes_take_no_link_down(
        self, answers: list[tuple[float, bool | None]]
    ) -> None:
        """
        Fewer than three 404s, or less than five minutes of them, take nothing down.
        """
        assert checks(self.ready(), *answers).project_url == LINKS["demo_url"]

    def test_three_404s_over_five_minutes_replace_the_link_by_the_next_best(self) -> None:
        """
        Three 404s over five minutes do; the next best link is the prototype's then.
        """
        one = checks(self.ready(), (0, False), (100, False), (300, False))

        assert (one.project_url, generation_of(one).links.demo_url) == (LINKS["web_url"], None)
        assert generation_of(one).links.broken_url == LINKS["demo_url"]

    def test_a_link_that_opens_again_comes_back_and_starts_counting_anew(self) -> None:
        """
        It comes back when it opens again, and three more 404s are needed to take it down.
        """
        one = checks(self.ready(), (0, False), (100, False), (300, False), (4000, True))
        assert (one.project_url, generation_of(one).links.broken_url) == (LINKS["demo_url"], None)

        assert checks(one, (5000, False), (6000, False)).project_url == LINKS["demo_url"]

    def test_deciding_link_checks_are_100_seconds_apart_and_later_ones_rarer(self) -> None:
        """
        Looks that decide are 100 s apart; then five minutes to an hour, for a day.
        """
        dying = generation(**LINKS, broken_url=LINKS["demo_url"], broken_since=NOW)
        dead = replace(dying, links=replace(dying.links, demo_url=None))

        assert next_link_check(generation(**LINKS).links, NOW, PACE) is None
        assert next_link_check(dying.links, NOW, PACE) == after(100)
        assert next_link_check(dead.links, after(300), PACE) == after(600)
        assert next_link_check(dead.links, after(8000), PACE) == after(10_000)
        assert next_link_check(dead.links, after(50_000), PACE) == after(53_600)
        assert next_link_check(dead.links, NOW + timedelta(days=1, seconds=1), PACE) is None


class TestNotShown:
    def test_a_claimed_follow_up_to_a_hidden_chat_waits_and_is_tried_again(self) -> None:
        """
        It waits, in words, and is tried again.
        """
        one = chat_not_shown(requested(prototype(Status.COMPLETED), "Make it blue", NOW), after(6))

        assert (one.status, one.state, generation_of(one).submission.next_try_at) == (
            Status.COMPLETED,
            State.PARKED,
            after(6),
        )
        assert generation_of(one).hold.code == "not_visible"
        assert generation_of(one).submission.recovery_point is RecoveryPoint.CLAIMED
        assert gone_message(one).endswith("The message was not sent: Make it blue")

    def test_a_sent_follow_up_to_a_hidden_chat_stays_undecided(self) -> None:
        """
        One that may have arrived stays undecided, with the same words.
        """
        claimed = requested(prototype(Status.COMPLETED), "Make it blue", NOW)
        sent = with_values(claimed, recovery_point=RecoveryPoint.SENT)

        one = chat_not_shown(sent, after(6))

        assert (one.state, generation_of(one).submission.recovery_point) == (State.UNDECIDED, RecoveryPoint.SENT)
        assert "It is not known whether the message arrived" in gone_message(one)

    def test_a_follow_up_ended_with_its_chat_restores_the_earlier_end(self) -> None:
        """
        What the chat ended with before counts again.
        """
        one = abandoned(requested(prototype(Status.COMPLETED, message_id="m-1"), "Make it blue", NOW))

        assert (generation_of(one).follow_up.previous_message_id, generation_of(one).submission.recovery_point) == (
            None,
            RecoveryPoint.SETTLED,
        )

    def test_a_deletion_of_a_hidden_chat_is_tried_again_and_says_why(self) -> None:
        """
        A deletion is tried again, and says why.
        """
        one = deletion_not_visible(deletion_requested(prototype(Status.COMPLETED), NOW), after(3))

        assert (one.state, generation_of(one).submission.next_try_at) == (State.DELETING, after(3))
        assert "does not prove" in (generation_of(one).hold.message or "")
