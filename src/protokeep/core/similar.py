"""Prototypes of other products that a request may have meant: by an id that reads the same, or by the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from protokeep.core.near_duplicates import Likeness, words_of
from protokeep.core.prototype import State

#: Prompts are told to be alike from this share of common pairs of words on (Jaccard): a few words were changed.
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
    """How alike each of the other prompts is, from 0.0 to 1.0."""
    texts = Likeness([words_of(prompt), *map(words_of, others)])
    return [texts.of(0, place) for place in range(1, len(others) + 1)]
