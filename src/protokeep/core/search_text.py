"""What a search compares: the folded text of a prototype, and the numbers by which an index finds it.

A text and a word are folded alike, so that case and the width of letters do not count, in any script. Every three
neighbouring characters of a word of the text are a number (a *gram*). A text can hold a word only if it has all grams
of the word; the text itself decides. The bands of a prompt are numbers of the same kind: prompts that say nearly the
same share one (MinHash over pairs of words; Broder 1997). All numbers are made with the workspace's id, so that no
search reads what only another workspace has.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from protokeep.core.near_duplicates import words_of, words_that_say

#: Another number when a text gets other grams or bands than before: everything is indexed again then.
VERSION = 2
#: Characters at the beginning of a prompt that searches look at. A prompt may have 100,000.
SEARCHED_CHARACTERS = 4000
#: Grams of a search that are looked up; the text decides about the rest.
GRAMS_MAX = 9
GRAM = 3
#: Prompts whose share of common pairs of words (Jaccard) is 0.7 have a band in common in 29 of 30 cases, those of 0.85
#: in nearly all, and those of 0.3 in one of five.
BANDS, ROWS = 8, 3
#: Prompts of so many words at most are also compared by their words.
SHORT = 16
#: Pairs of a long prompt that count for its bands: those with the smallest numbers, which like prompts share.
PAIRS_MAX = 200
_PRIME = (1 << 61) - 1
_ORDERS = [(Random(n).randrange(1, _PRIME), Random(-n - 1).randrange(_PRIME)) for n in range(BANDS * ROWS)]  # noqa: S311 - fixed orders, no secret
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Bits of a place that tell prototypes of the same microsecond apart, and the largest place.
_TIE_BITS, _LAST = 10, (1 << 53) - 1


def folded(text: str) -> str:
    """A text in the form in which texts are compared."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def text_of(product_id: str, name: str | None, prompt: str | None) -> str:
    """The text of a prototype that searches look at: three parts, a line each, of which only the last has lines."""
    first, second = (" ".join(folded(part or "").split()) for part in (product_id, name))
    beginning = folded((prompt or "")[:SEARCHED_CHARACTERS])[:SEARCHED_CHARACTERS]
    return f"{first}\n{second}\n{beginning}".replace("\x00", " ")


def prompt_in(text: str) -> str:
    """The folded prompt in a text of `text_of`."""
    return text.split("\n", 2)[-1]


def numbers_of(workspace_id: str, text: str) -> list[int]:
    """The numbers under which a text of `text_of` is found: its grams and its bands, each once, as 32 bits."""
    grams = _grams(workspace_id, text.split())
    return sorted(grams.union(bands_of(workspace_id, prompt_in(text))))


def grams_of_words(workspace_id: str, words: Sequence[str]) -> list[int]:
    """Grams that every text with all these folded words has; none for words of fewer than three characters.

    A few of each word, spread over it: each further one is read for every search and leaves out few texts more.
    """
    each = max(1, GRAMS_MAX // max(1, len(words)))
    found: set[int] = set()
    for word in words:
        last = len(word) - GRAM
        places = {last * step // max(1, each - 1) for step in range(each)} if last >= 0 else ()
        found.update(_number(workspace_id, word[at : at + GRAM]) for at in places)
    return sorted(found)


def bands_of(workspace_id: str, prompt: str) -> list[int]:
    """The bands of a prompt, which nearly equal prompts share; none for a prompt without words.

    They are of its pairs of words, and, if it is short, also of its words.
    """
    words = words_of(prompt[:SEARCHED_CHARACTERS])
    found = _bands(workspace_id, "", {f"{one} {other}" for one, other in pairwise(words)} or set(words))
    return found + (_bands(workspace_id, "w", words_that_say(words)) if len(words) <= SHORT else [])


def _bands(workspace_id: str, kind: str, parts: set[str]) -> list[int]:
    numbers = sorted(zlib.crc32(part.encode(errors="replace")) for part in parts)[:PAIRS_MAX]
    if not numbers:
        return []
    least = [min((a * number + b) % _PRIME for number in numbers) for a, b in _ORDERS]
    rows = [least[band * ROWS : (band + 1) * ROWS] for band in range(BANDS)]
    return [_number(workspace_id, f"\x01{kind}{band} {row}") for band, row in enumerate(rows)]


def product_key(product_id: str) -> str:
    """The same for ids that differ in case, blanks, dashes, underscores, dots or Unicode form only."""
    plain = folded(product_id)
    return "".join(sign for sign in plain if not _is_gap(sign)) or plain


def place_of(made_at: datetime | None, mockup_id: str) -> int:
    """The place of a prototype among all, oldest first: its microsecond, and a tie-breaker out of its id."""
    since = ((made_at or _EPOCH) - _EPOCH) // timedelta(microseconds=1)
    return (min(max(since, 0), _LAST) << _TIE_BITS) + (zlib.crc32(mockup_id.encode()) & ((1 << _TIE_BITS) - 1))


def _is_gap(sign: str) -> bool:
    return sign.isspace() or sign in "_.\u30fb" or unicodedata.category(sign) == "Pd"


def _grams(workspace_id: str, words: Iterable[str]) -> set[int]:
    found = {word[at : at + GRAM] for word in words for at in range(len(word) - GRAM + 1)}
    return {_number(workspace_id, gram) for gram in found}


def _number(workspace_id: str, gram: str) -> int:
    return zlib.crc32(f"{workspace_id}\x00{gram}".encode(errors="replace"))


def signed(numbers: Sequence[int]) -> list[int]:
    """The numbers as a database's signed 32 bits."""
    return [number - (1 << 31) for number in numbers]
