"""What two prompts do not have in common, word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

#: Longer prompts are not compared: the time grows with the product of their lengths, or faster.
MOST_WORDS = 1500


@dataclass(frozen=True, slots=True)
class Part:
    """Some words of a prompt; `differs`: the other prompt does not have them there."""

    text: str
    differs: bool


def difference(one: str, other: str) -> tuple[Sequence[Part], Sequence[Part]] | None:
    """The parts of both prompts, which joined are the prompts again. None: they are too long to be compared."""
    words, others = (re.findall(r"\s*\S+|\s+", text) for text in (one, other))
    if max(len(words), len(others)) > MOST_WORDS:
        return None
    matcher = SequenceMatcher(None, _plain(words), _plain(others))
    here: list[Part] = []
    there: list[Part] = []
    for kind, begin, end, other_begin, other_end in matcher.get_opcodes():
        differs = kind != "equal"
        if end > begin:
            here.append(Part("".join(words[begin:end]), differs))
        if other_end > other_begin:
            there.append(Part("".join(others[other_begin:other_end]), differs))
    return here, there


def _plain(words: Sequence[str]) -> list[str]:
    """Words without the white space around them, and in one case: neither makes a difference."""
    return [word.strip().casefold() for word in words]
