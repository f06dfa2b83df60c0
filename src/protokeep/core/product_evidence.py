"""What ties a chat to a product: our own mark, the name of its project, its prompt, its name.

The names of projects are those that the system of the spec gave: `V0 Project ` with the first eight characters of the
product's id, or the product's name with its id (shared/cases/owner.md, section F, says which versions wrote which).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protokeep.core.census import ChatRecord, Claim, KnownProduct
from protokeep.core.chat_links import NEAR_AT_MOST, PromptIndex
from protokeep.core.foreign_text import one_line
from protokeep.core.near_duplicates import words_of

CLAIMED, EQUAL_PROMPT, ID_IN_PROJECT, ID_START_IN_PROJECT, ID_IN_NAME, NAME_IN_NAME = 1.0, 0.98, 0.97, 0.95, 0.90, 0.70
#: Evidence from here on keeps a chat out of other products' groups.
STRONG = 0.90
#: Strong evidence that names two products is for a person, and keeps the chat out of third products' groups.
CONTRADICTED = 0.90
_ID_START = re.compile(r"V0 Project (\S{1,8})", re.IGNORECASE)
#: A name with fewer letters stands in too many texts; one ideograph tells about two.
_LETTERS = 4


@dataclass(frozen=True, slots=True)
class Tie:
    """Evidence that a chat was made for a product. `why` is a sentence with places for who and for the product."""

    product_id: str
    confidence: float
    why: str


class _Phrases:
    """Names or ids of products, to be found as whole words in texts."""

    def __init__(self) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)

    def add(self, phrase: str, product_id: str) -> None:
        """Look for a name or id; one of few letters stands in too many texts."""
        words = words_of(phrase)
        if sum(map(len, words)) >= _LETTERS:
            self._by_first[words[0]].append((words, product_id))

    def found_in(self, words: Sequence[str]) -> dict[str, int]:
        """The products whose phrases stand in a text, each with how many words that are."""
        found: dict[str, int] = {}
        for place, word in enumerate(words):
            for phrase, product_id in self._by_first.get(word, ()):
                if tuple(words[place : place + len(phrase)]) == phrase:
                    found[product_id] = max(len(phrase), found.get(product_id, 0))
        return found


class ProductEvidence:
    """The products of a workspace, and what ties chats to them."""

    def __init__(
        self,
        products: Sequence[KnownProduct],
        prompts: Iterable[tuple[str, int | None]],
        index: PromptIndex,
        project_names: Mapping[str, str],
    ) -> None:
        """`prompts`: the ids of products with the numbers of their prompts."""
        self._products = {product.product_id: product for product in products}
        self._index, self._project_names = index, project_names
        self._by_start, self._by_prompt = defaultdict[str, set[str]](set), defaultdict[int, set[str]](set)
        self._ids, self._names = _Phrases(), _Phrases()
        for product in self._products.values():
            self._by_start[product.product_id[:8].casefold()].add(product.product_id)
            self._ids.add(product.product_id, product.product_id)
            self._names.add(product.name or "", product.product_id)
        for product_id, number in prompts:
            if number is not None:
                self._by_prompt[number].add(product_id)
        near = {number for pair in index.near for number in (pair.first, pair.second)}
        self._mentioned = {number: self._found_in(index.words(number)) for number in near}
        self._near = self._near_prompts()

    def name_of(self, product_id: str) -> str:
        """What people call a product."""
        product = self._products.get(product_id)
        return one_line(product.name if product and product.name else product_id, 60)

    def of(self, record: ChatRecord, prompt: int | None) -> Tie | None:
        """The strongest evidence for the one product that a chat was made for; None: nothing says which."""
        if record.product_id and record.claim in (Claim.OURS, Claim.SURPLUS, Claim.LOST):
            return Tie(record.product_id, CLAIMED, "{} made by protokeep for {}")
        ties = [tie for tie in (self._of_project(record), self._of_prompt(prompt), self._of_name(record)) if tie]
        if not ties:
            return None
        strong = [tie for tie in ties if tie.confidence >= STRONG]
        if len({tie.product_id for tie in strong}) > 1:
            return Tie(strong[0].product_id, CONTRADICTED, strong[0].why)
        return max(ties, key=lambda tie: tie.confidence)

    def named_in(self, text: str) -> frozenset[str]:
        """The products whose names or ids a text holds."""
        return self._found_in(words_of(text))

    def _found_in(self, words: Sequence[str]) -> frozenset[str]:
        return frozenset((*self._ids.found_in(words), *self._names.found_in(words)))

    def mentioned_in(self, prompt: int | None) -> frozenset[str]:
        """The products that a prompt mentions, by its number; nothing for one that no other is like."""
        return self._mentioned.get(-1 if prompt is None else prompt, frozenset())

    def _of_project(self, record: ChatRecord) -> Tie | None:
        name = self._project_names.get(record.chat.project_id or "", "")
        if whole := self._with_id_in(name):
            return Tie(whole, ID_IN_PROJECT, "{} in a v0 project whose name ends with the id of {}")
        start = _ID_START.fullmatch(name.strip())
        ids = self._by_start.get(start[1].casefold(), set()) if start else set()
        if len(ids) != 1:
            return None
        return Tie(min(ids), ID_START_IN_PROJECT, "{} in a v0 project named after the first characters of the id of {}")

    def _of_prompt(self, prompt: int | None) -> Tie | None:
        if prompt is None:
            return None
        ids = self._by_prompt.get(prompt, set())
        if ids:
            why = "{} made with a prompt of {}"
            return Tie(min(ids), EQUAL_PROMPT, why) if len(ids) == 1 else None
        likeness, near = self._near.get(prompt, (0.0, ""))
        return Tie(near, min(likeness, NEAR_AT_MOST - 0.05), "{} made with nearly the prompt of {}") if near else None

    def _of_name(self, record: ChatRecord) -> Tie | None:
        if whole := self._with_id_in(record.chat.name):
            return Tie(whole, ID_IN_NAME, "{} named with the id of {}")
        found = self._names.found_in(words_of(record.chat.name))
        longest = [product_id for product_id, length in found.items() if length == max(found.values())]
        return Tie(longest[0], NAME_IN_NAME, "{} named with the name of {}") if len(longest) == 1 else None

    def _with_id_in(self, name: str) -> str | None:
        found = self._ids.found_in(words_of(name))
        return min(found) if len(found) == 1 else None

    def _near_prompts(self) -> dict[int, tuple[float, str]]:
        """For a prompt that no product has, the one product with a near-equal one."""
        found: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for pair in self._index.near:
            for mine, other in ((pair.first, pair.second), (pair.second, pair.first)):
                named = self._mentioned[mine]
                ids = {product_id for product_id in self._by_prompt.get(other, ()) if not named or product_id in named}
                found[mine] += [(pair.likeness, product_id) for product_id in ids]
        return {mine: max(near) for mine, near in found.items() if len({product_id for _, product_id in near}) == 1}
