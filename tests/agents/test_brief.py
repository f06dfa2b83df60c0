"""Briefs from facts alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.agents.brief import CLOSING, SHORTEST, brief_of
from protokeep.core.errors import InvalidInput


def test_known_facts_become_sections_in_a_fixed_order() -> None:
    """
    Known facts come under headings in a fixed order; others follow under their own names.
    """
    brief = brief_of(
        {
            "name": "Crumb",
            "description": "Orders bread ahead.",
            "opening_hours": "7 to 12",
            "features": ["Order", {"pay": "on pick-up"}],
            "audience": "Commuters",
            "budget": None,
        },
        extra="Use warm colours.",
    )

    assert brief.startswith("Build a prototype of Crumb.\nOrders bread ahead.")
    order = ["Who it is for:\nCommuters", "What people can do with it:\n- Order\n- pay: on pick-up", "Opening hours:"]
    positions = [brief.index(text) for text in order]
    assert positions == sorted(positions)
    assert "Budget" not in brief
    assert brief.index("Use warm colours.") < brief.index(CLOSING)


def test_without_facts_there_is_no_brief() -> None:
    """
    Without a fact there is no brief.
    """
    for nothing in ("", {}, {"name": ""}):
        with pytest.raises(InvalidInput):
            brief_of(nothing)
    with pytest.raises(InvalidInput, match="500"):
        brief_of("A shop", length=10)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3000),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=30), values, max_size=12), st.integers(SHORTEST, 5000))
def test_a_brief_is_never_longer_than_asked_for(facts: dict[str, object], length: int) -> None:
    """
    Whatever the facts are, a brief is a text of at most the length asked for that a prompt may be.
    """
    brief = brief_of({**facts, "name": "Crumb"}, length=length)

    assert 0 < len(brief) <= length
    assert "\0" not in brief
