"""What says that two chats of an account are the same: prompts, a double click, a project, names.

A link is one such sign between two chats with a confidence between 0 and 1. What was read outranks what was guessed:
a name says less than a prompt, and a name that stands over different things says nothing.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from itertools import pairwise

from protokeep.core.census import PROMPT_KEPT, ChatRecord
from protokeep.core.near_duplicates import Likeness, NearPair, signs_of, words_among, words_of

AUTOMATIC, OFFERED = 0.95, 0.70
SAME_PROMPT, SAME_WORDS, DOUBLE_CLICK, SAME_PROJECT, SAME_NAME = 0.98, 0.95, 0.95, 0.90, 0.80
#: Near-equal prompts may differ in the one word that matters: a person decides.
NEAR_AT_MOST = 0.94
#: A double click that took its time, or under a name that stands over different things too: prompts decide.
DOUBTED_CLICK = 0.90
#: "Test" from two people says little: equal prompts with fewer words are sure only from one person.
SHORT_PROMPT, SHORT_PROMPT_OF_TWO = 5, 0.80
CLICK = timedelta(seconds=120)
#: Clicks of a storm follow each other that fast; a person who writes another prompt takes longer.
NEXT_CLICK = timedelta(seconds=15)
#: A name that comes up on more occasions (a person's two minutes), or with more authors, and names no product, is one
#: that many things have: "Dashboard".
OCCASIONS_OF_ONE_THING, AUTHORS_OF_ONE_THING = 2, 2
#: A name of so many words is the beginning of a prompt: those of a template all begin alike, for every product.
WORDS_OF_A_PROMPT = 6
#: A project with more different names than this is where somebody keeps everything.
NAMES_OF_ONE_THING = 5
#: Names that app builders and people give before there is anything to name, as words.
_PLACEHOLDERS = frozenset(
    tuple(name.split())
    for name in (
        "untitled", "untitled chat", "untitled project", "new chat", "new project", "chat", "project", "test", "demo",
        "v0 chat", "v0 project", "hello", "hi", "prototype", "mockup", "app", "my app", "new app",
    )
)  # fmt: skip
_COPY = frozenset({"copy", "fork", "forked", "remix", "duplicate", "kopie", "copie", "副本"})
_NUMBER = re.compile(r"v?\d{1,3}")


class Sign(IntEnum):
    """What a link rests on, strongest first."""

    PROMPT = 1
    CLICK = 2
    PROJECT = 3
    NEAR_PROMPT = 4
    NAME = 5


@dataclass(frozen=True, slots=True)
class ChatLink:
    """Two chats, by their places, that `sign` joins. `first` is the older one."""

    confidence: float
    sign: Sign
    first: int
    second: int
    name: str = ""  #: the name that they share, where that is the sign


def exact_name(name: str) -> str:
    """A chat's name without case and extra white space; "" for one that names nothing."""
    words = words_of(name)
    return (
        "" if not words or words in _PLACEHOLDERS else " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    )


def loose_name(name: str) -> tuple[str, ...]:
    """A chat's name as words without what a copy adds: "Copy of Shop", "Shop (2)" and "shop v3" are one name.

    Nothing for a name that names nothing.
    """
    words = list(words_of(name))
    if len(words) > 2 and words[0] in _COPY and words[1] in ("of", "von", "de"):
        words = words[2:]
    while len(words) > 1 and (words[-1] in _COPY or _NUMBER.fullmatch(words[-1])):
        words.pop()
    found = tuple(words)
    return () if found in _PLACEHOLDERS else found


class PromptIndex:
    """The prompts of an account: which are equal, which say the same, and which nearly the same. It copies no text.

    Prompts that differ only in case, white space and the marks of a sentence have one number, and prompts without words
    have none. `numbers` and `exact` stand in the order of the prompts; equal prompts have the same `exact`.
    """

    def __init__(self, prompts: Sequence[str | None]) -> None:
        """`prompts`: in an order that is always the same, with repeats."""
        self.numbers: list[int | None] = []
        self.exact: list[bytes] = []
        self._texts: list[str] = []  #: of each number, the first prompt
        self.lengths: list[int] = []  #: of each number, in words
        self._by_exact: dict[bytes, int | None] = {b"": None}
        self._by_signs: dict[bytes, int] = {}
        self._likeness = Likeness(self._new_words(prompts))
        self.near: list[NearPair] = self._likeness.near()

    def _new_words(self, prompts: Sequence[str | None]) -> Iterator[list[str]]:
        """Number the prompts; yields the words of each that says something new."""
        for prompt in prompts:
            text = " ".join(prompt.split()) if prompt else ""
            exact = _digest(unicodedata.normalize("NFC", text)) if text else b""
            if exact not in self._by_exact:
                signs = signs_of(text)
                words = words_among(signs)
                said = _digest(" ".join(signs))
                number = self._by_signs.setdefault(said, len(self._texts)) if words else None
                self._by_exact[exact] = number
                if number == len(self._texts):
                    self._texts.append(prompt or "")
                    self.lengths.append(len(words))
                    yield words
            self.numbers.append(self._by_exact[exact])
            self.exact.append(exact)

    def words(self, number: int) -> tuple[str, ...]:
        """The words of a prompt, by its number."""
        return words_of(self._texts[number])

    def alike(self, first: int, second: int) -> float:
        """How alike two prompts are, by their numbers."""
        return 1.0 if first == second else self._likeness.of(first, second)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class KnownChats:
    """Chats in their fixed order, oldest first, with the numbers of their prompts and what surely made them.

    For each chat, `products` is the product that strong evidence names (None: nothing does), `named` the products whose
    names or ids its name holds, and `mentioned` those that its name or its prompt mentions.
    """

    records: Sequence[ChatRecord]  #: `index` begins with their prompts
    prompts: Sequence[int | None]
    products: Sequence[str | None]
    named: Sequence[frozenset[str]]
    mentioned: Sequence[frozenset[str]]
    index: PromptIndex

    def is_ambiguous(self, places: Iterable[int]) -> bool:
        """Whether chats under one name are known to be different things."""
        prompts, products = set(), set()
        for place in places:
            prompts.add(self.prompts[place])
            products.add(self.products[place])
        return len(prompts - {None}) > 1 or len(products - {None}) > 1

    def seconds_between(self, *places: int) -> float:
        """The time between the first and the last of them, as far as their times are known."""
        made = [made for place in places if (made := self.records[place].chat.created_at)]
        return (max(made) - min(made)).total_seconds() if made else 0.0

    def by_same_person(self, places: Sequence[int]) -> bool:
        """Whether one known person made all of them."""
        authors = {self.records[place].chat.author_id for place in places}
        return len(authors) == 1 and None not in authors


def links_between(chats: KnownChats, project_names: Mapping[str, str]) -> list[ChatLink]:
    """Every link that may decide something. Of chats that are all linked alike, each is linked to one of them."""
    return [
        *_by_prompt(chats),
        *_by_click(chats),
        *_by_project(chats, project_names),
        *_by_near_prompt(chats),
        *_by_name(chats),
    ]


def _by_prompt(chats: KnownChats) -> Iterator[ChatLink]:
    same: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(chats.prompts):
        if number is not None:
            same[number].append(place)
    for number, places in same.items():
        is_short = chats.index.lengths[number] < SHORT_PROMPT
        may_be_cut = any(len(chats.records[place].prompt or "") >= PROMPT_KEPT for place in places)
        for first, second in _of_one_prompt(chats, places, by_author=is_short):
            confidence = SAME_PROMPT if chats.index.exact[first] == chats.index.exact[second] else SAME_WORDS
            if is_short and not chats.by_same_person((first, second)):
                confidence = SHORT_PROMPT_OF_TWO
            yield ChatLink(min(confidence, NEAR_AT_MOST) if may_be_cut else confidence, Sign.PROMPT, first, second)


def _of_one_prompt(chats: KnownChats, places: Sequence[int], *, by_author: bool) -> Iterator[tuple[int, int]]:
    """Each chat with the oldest one of its product, and with `by_author` of its author, and those with each other.

    Where chats of two products have one prompt, it does not tell for which of them the others were made.
    """
    is_of_many = len({chats.products[place] for place in places} - {None}) > 1
    oldest: dict[Hashable, int] = {}
    for place in places:
        product = chats.products[place] if is_of_many else None
        hub = oldest.setdefault(product, place)
        if by_author:
            mine = oldest.setdefault((product, chats.records[place].chat.author_id), place)
            hub = mine if mine != place else hub
        if hub != place:
            yield hub, place


def _by_click(chats: KnownChats) -> Iterator[ChatLink]:
    """One person, one name, within two minutes of the first: such windows are not chained."""
    named: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, record in enumerate(chats.records):
        name = exact_name(record.chat.name)
        if name and record.chat.author_id and record.chat.created_at:
            named[record.chat.author_id, name].append(place)
    windows = {key: list(_windows(chats, places)) for key, places in named.items()}
    occasions: dict[str, int] = defaultdict(int)
    for (_, name), found in windows.items():
        occasions[name] += len(found)
    for (author, name), found in windows.items():
        is_vague = occasions[name] > OCCASIONS_OF_ONE_THING or len(words_of(name)) >= WORDS_OF_A_PROMPT
        doubted = (is_vague and not chats.named[found[0][0]]) or chats.is_ambiguous(named[author, name])
        # Among chats that are known to be different, a name says nothing of the others.
        for window in (window for window in found if not chats.is_ambiguous(window)):
            for before, place in pairwise(window):
                is_fast = chats.seconds_between(before, place) <= NEXT_CLICK.total_seconds()
                confidence = DOUBLE_CLICK if is_fast and not doubted else DOUBTED_CLICK
                yield ChatLink(confidence, Sign.CLICK, before, place, chats.records[before].chat.name)


def _windows(chats: KnownChats, places: Sequence[int]) -> Iterator[list[int]]:
    """Chats that were made within two minutes of the first of them; `places` are in order of time."""
    window: list[int] = []
    for place in places:
        made, began = (chats.records[p].chat.created_at for p in (place, window[0] if window else place))
        if window and (made is None or began is None or made - began > CLICK):
            yield window
            window = []
        window.append(place)
    if window:
        yield window


def _by_project(chats: KnownChats, project_names: Mapping[str, str]) -> Iterator[ChatLink]:
    projects: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, record in enumerate(chats.records):
        for kind, project in (("v0", record.chat.project_id), ("vercel", record.chat.vercel_project_id)):
            if project:
                projects[kind, project].append(place)
    for (kind, project), places in projects.items():
        if len({loose_name(chats.records[place].chat.name) for place in places}) > NAMES_OF_ONE_THING:
            continue
        read = [place for place in places if chats.prompts[place] is not None]
        hub = (read or places)[0]
        name = project_names.get(project, "") if kind == "v0" else ""
        for place in places:
            if place != hub:
                yield ChatLink(SAME_PROJECT, Sign.PROJECT, min(hub, place), max(hub, place), name)


def _by_near_prompt(chats: KnownChats) -> Iterator[ChatLink]:
    oldest: dict[int, int] = {}
    for place, number in enumerate(chats.prompts):
        if number is not None:
            oldest.setdefault(number, place)
    for pair in chats.index.near:
        if pair.first in oldest and pair.second in oldest:
            first, second = sorted((oldest[pair.first], oldest[pair.second]))
            if not _names_tell_apart(chats, first, second):
                yield ChatLink(min(pair.likeness, NEAR_AT_MOST), Sign.NEAR_PROMPT, first, second)


def _names_tell_apart(chats: KnownChats, first: int, second: int) -> bool:
    """Whether the words in which two prompts differ are in the chats' names: one template, and two things."""
    prompts = [set(chats.index.words(number)) for p in (first, second) if (number := chats.prompts[p]) is not None]
    names = [set(words_of(chats.records[place].chat.name)) for place in (first, second)]
    return bool((prompts[0] - prompts[1]) & names[0]) and bool((prompts[1] - prompts[0]) & names[1])


def _by_name(chats: KnownChats) -> Iterator[ChatLink]:
    named: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for place, record in enumerate(chats.records):
        name = loose_name(record.chat.name)
        if name and record.chat.author_id:
            named[record.chat.author_id, name].append(place)
    authors: dict[tuple[str, ...], int] = Counter(name for _, name in named)
    for (_, name), places in named.items():
        is_common = authors[name] > AUTHORS_OF_ONE_THING and not chats.named[places[0]]
        if not is_common and not chats.is_ambiguous(places):
            shown = chats.records[places[0]].chat.name
            yield from (ChatLink(SAME_NAME, Sign.NAME, places[0], place, shown) for place in places[1:])
