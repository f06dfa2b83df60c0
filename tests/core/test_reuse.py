"""The reuse rule, one test per line of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.made import NOW, prototype, untracked
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Status
from protokeep.core.reuse import Outcome, decide, prompts_differ, usable

PROMPT = "A shop"


class TestReuse:
    def test_first_request(self) -> None:
        """
        A product without a prototype gets one.
        """
        assert decide(None, PROMPT, create_new=False).outcome is Outcome.CREATED

    @pytest.mark.parametrize("status", [Status.PENDING, Status.IN_PROGRESS, Status.COMPLETED, Status.TIMEOUT])
    def test_existing_one(self, status: Status) -> None:
        """
        pending, in_progress, completed and timeout: the existing one.
        """
        decision = decide(prototype(status), PROMPT, create_new=False)

        assert (decision.outcome, decision.prompt_differs) == (Outcome.REUSED, False)
        assert decision.reason

    @pytest.mark.parametrize("point", list(RecoveryPoint))
    def test_existing_one_wherever_its_create_stands(self, point: RecoveryPoint) -> None:
        """
        How far the create got, or that its outcome is unknown, does not matter: never a second one.
        """
        current = prototype(recovery_point=point, chat_id=None, outcome_unknown=point is RecoveryPoint.SENT)

        assert decide(current, PROMPT, create_new=False).outcome is Outcome.REUSED

    def test_failed_one(self) -> None:
        """
        failed, or gone upstream, is replaced, and the answer says why.
        """
        decision = decide(prototype(Status.FAILED, error_message="It broke."), PROMPT, create_new=False)

        assert decision.outcome is Outcome.REPLACED
        assert "It broke." in decision.reason

    @pytest.mark.parametrize("status", list(Status))
    def test_another_one_on_purpose(self, status: Status) -> None:
        """
        create_new: always a new one.
        """
        assert decide(prototype(status), PROMPT, create_new=True).outcome is Outcome.CREATED
        assert decide(None, PROMPT, create_new=True).outcome is Outcome.CREATED

    def test_other_prompt(self) -> None:
        """
        Same product, materially other prompt: the existing one, and the answer says that the prompt differs.
        """
        decision = decide(prototype(), "Something else", create_new=False)

        assert (decision.outcome, decision.prompt_differs) == (Outcome.REUSED, True)
        assert "create_new=true" in decision.reason


class TestUntracked:
    """Rows from before us (design, section 8)."""

    def test_pending_without_chat_or_address_does_not_block(self) -> None:
        """
        A pending row without chat id and without a usable URL does not block its product.
        """
        assert decide(untracked(), PROMPT, create_new=False).outcome is Outcome.REPLACED

    def test_pending_with_an_address_is_used(self) -> None:
        """
        A pending row without chat id but with a URL is something to open.
        """
        row = untracked(project_url="https://example.com")

        assert decide(row, PROMPT, create_new=False).outcome is Outcome.REUSED

    def test_with_a_chat_is_used(self) -> None:
        """
        A row that names a chat can be followed.
        """
        assert decide(untracked(chat_id="c"), PROMPT, create_new=False).outcome is Outcome.REUSED

    def test_failed_is_replaced(self) -> None:
        """
        A failed one is not used, whatever it has.
        """
        row = untracked(Status.FAILED, chat_id="c", project_url="https://example.com")

        decision = decide(row, PROMPT, create_new=False)

        assert (decision.outcome, usable(row)) == (Outcome.REPLACED, False)
        assert decision.reason

    def test_completed_without_anything_is_replaced(self) -> None:
        """
        Completed, but with nothing to open and nothing to follow: it blocks nobody.
        """
        assert not usable(untracked(Status.COMPLETED))


class TestPrompts:
    @pytest.mark.parametrize(
        ("one", "other", "differ"),
        [
            ("A shop", "A shop", False),
            ("A shop", "  a  SHOP\n", False),
            ("A shop", "A shop!", True),
            ("A shop", None, True),
            (None, None, False),
            (None, "  ", False),
            ("STRASSE", "straße", False),
        ],
    )
    def test_materially(self, one: str | None, other: str | None, differ: bool) -> None:
        """
        White space and letter case do not count; everything else does.
        """
        assert prompts_differ(one, other) is differ

    @given(st.text(), st.text())
    def test_either_way_round(self, one: str, other: str) -> None:
        """
        It does not matter which came first, and a prompt never differs from itself.
        """
        assert prompts_differ(one, other) == prompts_differ(other, one)
        assert not prompts_differ(one, one)
        assert not prompts_differ(one, f" {one}\t")


def test_one_that_is_not_visible() -> None:
    """
    One that the builder does not show at present is reused, and the reason says so.
    """
    decision = decide(prototype(Status.COMPLETED, missing_since=NOW), "A shop", create_new=False)

    assert decision.outcome is Outcome.REUSED
    assert "v0 does not show it at present; it is looked at again." in decision.reason


class TestDeleted:
    @pytest.mark.parametrize("status", list(Status))
    def test_one_that_is_being_deleted(self, status: Status) -> None:
        """
        What is being deleted is handed out to nobody, whatever its status, and the answer says so.
        """
        leaving = prototype(status, deletion_requested_at=NOW)

        decision = decide(leaving, PROMPT, create_new=False)

        assert not usable(leaving)
        assert (decision.outcome, "being deleted" in decision.reason) == (Outcome.REPLACED, True)
