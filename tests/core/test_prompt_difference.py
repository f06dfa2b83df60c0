"""What differs between two prompts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.prompt_difference import MOST_WORDS, difference

TEXTS = st.text(st.sampled_from("aAb \n\t"), max_size=60)


@given(TEXTS, TEXTS)
def test_nothing_of_a_prompt_is_lost_and_what_is_not_marked_is_in_both(one: str, other: str) -> None:
    """
    The parts are the prompt again; what is not marked is the same in both, but for case and white space.
    """
    parts = difference(one, other)

    assert parts is not None
    assert ["".join(part.text for part in side) for side in parts] == [one, other]
    here, there = ("".join(part.text for part in side if not part.differs).casefold().split() for side in parts)
    assert here == there


def test_the_words_that_differ_are_marked() -> None:
    """
    A word that only one prompt has is marked there.
    """
    here, there = difference("A red shop", "a shop for bread") or ((), ())

    assert [part.text for part in here if part.differs] == [" red"]
    assert [part.text for part in there if part.differs] == [" for bread"]


def test_prompts_that_would_take_long_are_not_compared() -> None:
    """
    Above the bound nothing is marked; at the bound the worst texts are compared.
    """
    words = " a b" * (MOST_WORDS // 2)

    assert difference(words, " b a" * (MOST_WORDS // 2)) is not None
    assert difference(words + " more", "x") is None
