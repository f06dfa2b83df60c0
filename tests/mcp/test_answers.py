"""Answers are short whatever they are about."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from protokeep.client import Decision, Ensured, Failure, HistoryLine, PrototypeDetail, Refused
from protokeep.client.errors import Problem
from protokeep.core.prototype import State
from protokeep.core.state_labels import STATE_LABELS
from protokeep.mcp import answers

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIMIT = 4096

#: One character many times finds the limits: quotes and backslashes are escaped twice, others take four bytes.
texts = st.builds(
    lambda one, count: one * count, st.sampled_from(['"', "\\", "\n", "é", "🥐", "a"]), st.integers(0, 3000)
)
links = st.none() | st.builds(lambda text: "https://v0.app/" + text, texts)
lines = st.lists(
    st.builds(
        lambda text, actor: HistoryLine(kind="parked", source="submit", at=NOW, actor=actor, data={"message": text}),
        texts,
        st.none() | texts,
    ),
    max_size=12,
)


@st.composite
def details(draw: st.DrawFn) -> PrototypeDetail:
    """Any prototype a server could tell of."""
    return PrototypeDetail(
        id="0123456789abcdef0123456789abcdef0123",
        product_id=draw(texts)[:200] or "p",
        project_status=draw(st.sampled_from(["completed", "failed", "in_progress"])),
        state=draw(st.sampled_from([*map(str, State), "a-new-one"])),
        created_at=NOW,
        updated_at=NOW,
        user_id=draw(st.none() | texts),
        prompt=draw(st.none() | texts),
        project_url=draw(links),
        chat_url=draw(links),
        error=draw(st.none() | st.builds(lambda text: Failure(code="x", message=text), texts)),
        elapsed_seconds=12.0,
        history=tuple(draw(lines)),
    )


@given(details(), texts)
def test_every_answer_is_under_four_kilobytes(detail: PrototypeDetail, reason: str) -> None:
    """
    Ids, links, prompts and messages of any length and kind leave every answer under 4 KB.
    """
    shown = {name: getattr(detail, name) for name in PrototypeDetail.__dataclass_fields__}
    base = {name: value for name, value in shown.items() if name not in ("history", "surplus_chat_ids")}
    decision = Decision(outcome="reused", reason=reason, prompt_differs=True)
    ensured = Ensured(**base, is_existing=True, decision=decision)

    for answer in (
        answers.prototype_answer(detail),
        answers.explain_answer(detail),
        answers.ensured_answer(ensured),
        answers.list_answer([detail] * answers.LIST_ROWS, "c" * 130),
    ):
        assert answers.wire_size(answer) < LIMIT


def test_every_state_has_a_word_and_a_next_step() -> None:
    """
    No state is without a word, nor without a sentence on what to do.
    """
    assert set(STATE_LABELS) == set(State)
    assert set(answers._NEXT_STEPS) == set(map(str, State))


STEERING = "a\x1b]0;PWN\x07\u202e\x9b2J\r"


def test_words_of_others_steer_no_terminal() -> None:
    """
    Assistants show answers in terminals, and their text is JSON without escapes.
    """
    detail = PrototypeDetail(
        id="0123456789abcdef0123456789abcdef0123",
        product_id="shop",
        project_status="completed",
        state="ready",
        created_at=NOW,
        updated_at=NOW,
        user_id=STEERING,
        prompt=STEERING,
        project_url=f"https://v0.app/{STEERING}",
        chat_url="javascript:alert(1)",
        error=Failure(code="x", message=STEERING),
        history=(HistoryLine(kind="parked", source="submit", at=NOW, actor=STEERING, data={"message": STEERING}),),
    )

    answer = answers.explain_answer(detail)

    assert (answer.url, answer.chat_url) == (None, None)
    shown = [answer.trouble, answer.prompt, answer.why, answer.asked_for_by, *answer.history]
    assert all(text and text.isprintable() and "PWN" in text for text in shown if text != answer.why)


def test_words_of_a_server_that_is_not_ours_steer_no_terminal() -> None:
    problem = Problem("x", "x", 422, STEERING, STEERING)

    assert answers.error_text(Refused(problem)).isprintable()
