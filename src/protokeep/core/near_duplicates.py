"""Which prompts say nearly the same: an exact search by shared pairs of words.

Two prompts are compared by the pairs of neighbouring words in them (the Jaccard index: shared pairs by all pairs). A
sign of a script that is written without blanks counts as a word, as does an emoji, so that prompts in any language
compare. Only prompts that share a rare pair are compared at all: of the pairs of a prompt, sorted from the rarest, at
least one of the first 15 % is in every prompt that is like it by 0.85 (Chaudhuri et al. 2006, "prefix filter").
Decision 0043 says why no library does it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: From this Jaccard index on, prompts are near-equal.
NEAR = 0.85
#: A pair of words that more different prompts share belongs to a template or to a phrase that everybody writes.
COMMON = 32
#: Scripts that are written without blanks between words: kana, Han ideographs and their compatibility forms.
_NO_BLANKS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
#: Joiners and variation selectors are part of how an emoji is drawn; ASCII signs are punctuation.
_SLOTS, _MOST = 4_194_301, 255  # a prime, so that neighbouring numbers of words do not meet in one slot
_WORD = re.compile(rf"[^\W_{_NO_BLANKS}]+|[^\s\x00-\x7f\u2000-\u206f\u3000-\u3020\ufe00-\ufe0f]")


#: Of English, German, French and Spanish.
_ARTICLES = frozenset("a an the der die das ein eine einen le la les un une el los las una".split())  # noqa: SIM905

#: Words, and every other sign but those that a person types or leaves out without a thought.
_SIGN = re.compile(rf"{_WORD.pattern}|[^\s.,;:!?'\"\u2018-\u201f]")


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two texts that say nearly the same, by their places in what was searched: `first` < `second`."""

    first: int
    second: int
    likeness: float  #: NEAR to 1.0; 1.0 if only blanks, case or punctuation differ


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text without case, accents' spelling (NFC, NFD), width of letters and ASCII punctuation."""
    return tuple(_WORD.findall(_folded(text)))


def words_that_say(words: Sequence[str]) -> set[str]:
    """The different words of a text without its articles, which a person changes without a thought.

    A text of articles only keeps them.
    """
    return {word for word in words if word not in _ARTICLES} or set(words)


def signs_of(text: str) -> list[str]:
    """The words and signs of a text, without case, white space and the marks of a sentence.

    Texts with the same signs say the same. "C++" and "C#" do not, nor do "1.5" and "15".
    """
    return _SIGN.findall(_folded(text))


def words_among(signs: Iterable[str]) -> list[str]:
    """The words of a text, by its signs."""
    return [sign for sign in signs if sign.isalnum() or (not sign.isascii() and _WORD.fullmatch(sign))]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


class Likeness:
    """The pairs of words of many texts, and how alike any two of them are. It keeps numbers, and no text."""

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        """`texts`: the words of each. What it keeps takes about 8 bytes a word."""
        numbers: dict[str, int] = {}
        self._pairs = [_pairs(words, numbers) for words in texts]

    def of(self, first: int, second: int) -> float:
        """The Jaccard index of two texts, from 0.0 to 1.0; texts without words are like nothing."""
        return self._alike(set(self._pairs[first]), second)

    def near(self) -> list[NearPair]:
        """Every two texts that are near-equal and share a pair of words that is not common, in a fixed order."""
        same: dict[bytes, list[int]] = defaultdict(list)
        for place, pairs in enumerate(self._pairs):
            if pairs:
                same[pairs.tobytes()].append(place)
        found = [NearPair(places[0], other, 1.0) for places in same.values() for other in places[1:]]
        for first, candidates in self._candidates([places[0] for places in same.values()]):
            pairs_of_first = set(self._pairs[first]) if candidates else set()
            for other in candidates:
                likeness = self._alike(pairs_of_first, other)
                if likeness >= NEAR:
                    found.append(NearPair(min(first, other), max(first, other), likeness))
        return sorted(found, key=lambda pair: (pair.first, pair.second))

    def _alike(self, one: set[int], place: int) -> float:
        other = self._pairs[place]
        shared = len(one.intersection(other))
        return shared / (len(one) + len(other) - shared) if shared else 0.0

    def _candidates(self, places: Sequence[int]) -> Iterable[tuple[int, set[int]]]:
        """For each text, the shorter or equally long ones that may be near-equal to it."""
        counts = _counts(self._pairs[place] for place in places)
        index: dict[int, list[int]] = defaultdict(list)
        for place in sorted(places, key=lambda place: (len(self._pairs[place]), place)):
            pairs = self._pairs[place]
            first_few = len(pairs) - math.ceil(NEAR * len(pairs)) + 1
            rarest = sorted((counts[pair % _SLOTS], pair) for pair in pairs)[:first_few]
            telling = [pair for count, pair in rarest if 1 < count <= COMMON]
            shortest = NEAR * len(pairs)
            yield place, {other for pair in telling for other in index[pair] if len(self._pairs[other]) >= shortest}
            for pair in telling:
                index[pair].append(place)


def _pairs(words: Sequence[str], numbers: dict[str, int]) -> array[int]:
    """Neighbouring words as one number each, in order; a text of one word has that word for a pair."""
    known = [numbers.setdefault(word, len(numbers) + 1) for word in words]
    pairs = {one << 32 | other for one, other in pairwise(known)}
    return array("Q", sorted(pairs or known))


def _counts(texts: Iterable[Sequence[int]]) -> bytearray:
    """In how many texts each pair stands, up to 255, at the pair's slot. Pairs that share a slot are counted together,
    which only makes them look less rare: the order of rarity stays the same for all texts."""
    counts = bytearray(_SLOTS)
    for pairs in texts:
        for pair in pairs:
            slot = pair % _SLOTS
            if counts[slot] < _MOST:
                counts[slot] += 1
    return counts
