"""Prototypes of other products that a request may have meant: by an id that reads the same, or by the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from protokeep.core.near_duplicates import Likeness, words_of, words_that_say
from protokeep.core.prototype import State
from protokeep.core.search_text import SHORT

#: Prompts are told to be alike from this share of common pairs of words on, or of words (Jaccard): a few were changed.
ALIKE = 0.7


class How(StrEnum):
    """By what two products are similar."""

    ID = "id"  #: their ids differ in case, blanks, dashes, underscores, dots or Unicode form only
    PROMPT = "prompt"  #: their prompts say nearly the same


class UnclearProductRule(StrEnum):
    """What happens to a program's request for a new product whose id reads like another one's."""

    TAKE = "take"  #: its prototype is made, and the answer names the other product
    ASK = "ask"  #: it is refused until the program says that it is another product


@dataclass(frozen=True, slots=True)
class Similar:
    """A prototype of another product. `alike` is 0 to 1, and `reason` a sentence for people."""

    product_id: str
    name: str | None
    prototype_id: str
    state: State
    how: How
    alike: float
    reason: str
    made_by: str
    made_at: datetime


def reason_of(how: How, alike: float) -> str:
    """Why a product is similar, in a sentence."""
    if how is How.ID:
        return "Its id differs only in case, spaces, dashes or dots."
    return "Its prompt says the same." if alike >= 1 else f"Its prompt is {int(alike * 100)} % the same."


def likenesses(prompt: str, others: Sequence[str]) -> list[float]:
    """How alike each of the other prompts is, from 0.0 to 1.0: by pairs of words, and by words where both are short."""
    words = [words_of(prompt), *map(words_of, others)]
    pairs = Likeness(words)
    return [max(pairs.of(0, place), _by_words(words[0], words[place])) for place in range(1, len(words))]


def _by_words(one: Sequence[str], other: Sequence[str]) -> float:
    """The Jaccard index of the words of two short prompts, where one word makes most pairs; 0.0 for longer ones."""
    if max(len(one), len(other)) > SHORT or not one or not other:
        return 0.0
    first, second = words_that_say(one), words_that_say(other)
    return len(first & second) / len(first | second)
