"""The reuse rule, one test per line of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import NOW, prototype, untracked
from protokeep.core.generation import STOPPED, Reason, RecoveryPoint
from protokeep.core.prototype import Status
from protokeep.core.reuse import Outcome, decide, prompts_differ, usable

PROMPT = "A shop"


class TestReuse:
    def test_a_product_without_a_prototype_gets_one(self) -> None:
        """
        A product without a prototype gets one.
        """
        assert decide(None, PROMPT, create_new=False).outcome is Outcome.CREATED

    @pytest.mark.parametrize("status", [Status.PENDING, Status.IN_PROGRESS, Status.COMPLETED, Status.TIMEOUT])
    def test_a_pending_running_completed_or_timed_out_prototype_is_reused(self, status: Status) -> None:
        """
        pending, in_progress, completed and timeout: the existing one.
        """
        decision = decide(prototype(status), PROMPT, create_new=False)

        assert (decision.outcome, decision.prompt_differs) == (Outcome.REUSED, False)
        assert decision.reason

    def test_what_a_person_stopped_is_replaced_and_not_called_failed(self) -> None:
        """
        Stopped on purpose is no failure, in the reason either.
        """
        stopped = prototype(Status.FAILED, error=Reason(STOPPED, "Stopped by ana. Ask for a change to continue."))

        decision = decide(stopped, PROMPT, create_new=False)

        assert (decision.outcome, decision.reason) == (Outcome.REPLACED, "The previous one was stopped.")

    @pytest.mark.parametrize("point", list(RecoveryPoint))
    def test_an_existing_prototype_is_reused_wherever_its_create_stands(self, point: RecoveryPoint) -> None:
        """
        How far the create got, or that its outcome is unknown, does not matter: never a second one.
        """
        current = prototype(recovery_point=point, chat_id=None, outcome_unknown=point is RecoveryPoint.SENT)

        assert decide(current, PROMPT, create_new=False).outcome is Outcome.REUSED

    def test_a_failed_or_gone_prototype_is_replaced_with_the_reason(self) -> None:
        """
        failed, or gone upstream, is replaced, and the answer says why.
        """
        decision = decide(prototype(Status.FAILED, error_message="It broke."), PROMPT, create_new=False)

        assert decision.outcome is Outcome.REPLACED
        assert "It broke." in decision.reason

    @pytest.mark.parametrize("status", list(Status))
    def test_create_new_always_makes_a_new_prototype(self, status: Status) -> None:
        """
        create_new: always a new one.
        """
        assert decide(prototype(status), PROMPT, create_new=True).outcome is Outcome.CREATED
        assert decide(None, PROMPT, create_new=True).outcome is Outcome.CREATED

    def test_another_prompt_reuses_the_prototype_and_says_that_it_differs(self) -> None:
        """
        Same product, materially other prompt: the existing one, and the answer says that the prompt differs.
        """
        decision = decide(prototype(), "Something else", create_new=False)

        assert (decision.outcome, decision.prompt_differs) == (Outcome.REUSED, True)
        assert "create_new=true" in decision.reason


class TestUntracked:
    """Rows from before us (design, section 8)."""

    def test_a_pending_row_without_chat_and_address_does_not_block(self) -> None:
        """
        A pending row without chat id and without a usable URL does not block its product.
        """
        assert decide(untracked(), PROMPT, create_new=False).outcome is Outcome.REPLACED

    def test_a_pending_row_with_an_address_is_reused(self) -> None:
        """
        A pending row without chat id but with a URL is something to open.
        """
        row = untracked(project_url="https://example.com")

        assert decide(row, PROMPT, create_new=False).outcome is Outcome.REUSED

    def test_a_row_that_names_a_chat_is_reused(self) -> None:
        """
        A row that names a chat can be followed.
        """
        assert decide(untracked(chat_id="c"), PROMPT, create_new=False).outcome is Outcome.REUSED

    def test_a_failed_untracked_row_is_replaced(self) -> None:
        """
        A failed one is not used, whatever it has.
        """
        row = untracked(Status.FAILED, chat_id="c", project_url="https://example.com")

        decision = decide(row, PROMPT, create_new=False)

        assert (decision.outcome, usable(row)) == (Outcome.REPLACED, False)
        assert decision.reason

    def test_a_completed_row_without_chat_and_address_is_replaced(self) -> None:
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
    def test_prompts_differ_by_more_than_white_space_and_case(
        self, one: str | None, other: str | None, differ: bool
    ) -> None:
        """
        White space and letter case do not count; everything else does.
        """
        assert prompts_differ(one, other) is differ

    @given(st.text(), st.text())
    def test_prompt_difference_is_symmetric_and_never_with_itself(self, one: str, other: str) -> None:
        """
        It does not matter which came first, and a prompt never differs from itself.
        """
        assert prompts_differ(one, other) == prompts_differ(other, one)
        assert not prompts_differ(one, one)
        assert not prompts_differ(one, f" {one}\t")


def test_a_prototype_that_is_not_visible_is_reused_with_that_reason() -> None:
    """
    One that the builder does not show at present is reused, and the reason says so.
    """
    decision = decide(prototype(Status.COMPLETED, missing_since=NOW), "A shop", create_new=False)

    assert decision.outcome is Outcome.REUSED
    assert "v0 does not show it at present; protokeep keeps checking." in decision.reason


class TestDeleted:
    @pytest.mark.parametrize("status", list(Status))
    def test_a_prototype_being_deleted_is_never_reused(self, status: Status) -> None:
        """
        What is being deleted is handed out to nobody, whatever its status, and the answer says so.
        """
        leaving = prototype(status, deletion_requested_at=NOW)

        decision = decide(leaving, PROMPT, create_new=False)

        assert not usable(leaving)
        assert (decision.outcome, "being deleted" in decision.reason) == (Outcome.REPLACED, True)
