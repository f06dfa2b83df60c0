"""Which chats of an account are the same, how surely, and why.

Chats and products are joined by the strongest links first (a maximum spanning forest, Kruskal 1956), and a link that
would join unlike things is left out: two products, two prompts under one name, the ends of a chain of like prompts. So
a group's confidence is that of the weakest link that holds it together. The order of the input changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from protokeep.core.census import ChatGroup, ChatRecord, Claim, KnownProduct
from protokeep.core.chat_links import (
    AUTOMATIC,
    OFFERED,
    ChatLink,
    KnownChats,
    PromptIndex,
    Sign,
    links_between,
)
from protokeep.core.group_reasons import reasons_of
from protokeep.core.product_evidence import STRONG, ProductEvidence, Tie

#: The oldest prompts of two parts that are joined as near-equal are at least so much alike.
ENDS_ALIKE = 0.75
_LAST = datetime.max.replace(tzinfo=UTC)


def group_chats(
    records: Sequence[ChatRecord], products: Sequence[KnownProduct], project_names: Mapping[str, str]
) -> list[ChatGroup]:
    """The groups of an account's chats, most certain and then largest first; each chat is in one at most.

    A group has two chats or more, or one that a product points to. `project_names`: v0 project id -> its name. A chat
    whose claim is foreign is in no group. A group keeps its id while its oldest chat is the same.
    """
    placed = sorted((record for record in records if record.claim is not Claim.FOREIGN), key=_age)
    read = [record.prompt for record in placed]
    index = PromptIndex([*read, *(prompt for product in products for prompt in product.prompts)])
    prompts = [index.number_of(prompt) for prompt in read]
    evidence = ProductEvidence(products, index, project_names)
    ties = [evidence.of(record, prompt) for record, prompt in zip(placed, prompts, strict=True)]
    strong = [tie.product_id if tie and tie.confidence >= STRONG else None for tie in ties]
    named = [evidence.named_in(record.chat.name) for record in placed]
    mentioned = [names | evidence.mentioned_in(prompt) for names, prompt in zip(named, prompts, strict=True)]
    chats = KnownChats(placed, prompts, strong, named, mentioned, index)
    links = links_between(chats, project_names)
    forest = _Forest(chats)
    forest.grow(links, ties)
    inside: dict[int, list[ChatLink]] = defaultdict(list)
    for link in links:
        if forest.whole.root(link.first) == forest.whole.root(link.second):
            inside[forest.whole.root(link.first)].append(link)
    groups = (forest.group(root, places, ties, inside[root], evidence) for root, places in forest.members())
    return sorted(
        (group for group in groups if group), key=lambda group: (-group.confidence, -len(group.chat_ids), group.id)
    )


def _age(record: ChatRecord) -> tuple[datetime, str]:
    return record.chat.created_at or _LAST, record.chat.chat_id


@dataclass(slots=True)
class _Part:
    """What is known of chats that are joined.

    It is their product by strong evidence, the products that they mention, their prompts, and the oldest one's prompt.
    """

    product: str | None
    mentioned: frozenset[str]
    prompts: frozenset[int]
    oldest_prompt: int | None


class _Parts:
    """Chats and products that were joined so far (union by the smaller place, so that a part's root is its oldest)."""

    def __init__(self, chats: KnownChats, products: Sequence[str]) -> None:
        known = zip(chats.products, chats.mentioned, chats.prompts, strict=True)
        self._parents = list(range(len(chats.records) + len(products)))
        self._parts = [
            _Part(product, mentioned, frozenset() if prompt is None else frozenset({prompt}), prompt)
            for product, mentioned, prompt in known
        ]
        self._parts += [_Part(product, frozenset({product}), frozenset(), None) for product in products]
        self._index = chats.index

    def root(self, place: int) -> int:
        """The oldest chat of the part that a place is in."""
        while self._parents[place] != place:
            self._parents[place] = place = self._parents[self._parents[place]]
        return place

    def join(self, first: int, second: int, sign: Sign | None) -> bool:
        """Join two parts; False: they are one already, or unlike things. `sign` None: a product's tie."""
        one, other = sorted((self.root(first), self.root(second)))
        if one == other or not self._may_join(self._parts[one], self._parts[other], sign):
            return False
        mine, theirs = self._parts[one], self._parts[other]
        self._parents[other] = one
        mine.product = mine.product or theirs.product
        mine.mentioned |= theirs.mentioned
        mine.prompts |= theirs.prompts
        if mine.oldest_prompt is None:
            mine.oldest_prompt = theirs.oldest_prompt
        return True

    def _may_join(self, one: _Part, other: _Part, sign: Sign | None) -> bool:
        if one.product and other.product and one.product != other.product:
            return False
        if sign in (Sign.CLICK, Sign.NAME):
            return not one.prompts or not other.prompts or bool(one.prompts & other.prompts)
        if sign is Sign.NEAR_PROMPT and one.oldest_prompt is not None and other.oldest_prompt is not None:
            if one.mentioned and other.mentioned and not one.mentioned & other.mentioned:
                return False  # One template, and two products.
            return self._index.alike(one.oldest_prompt, other.oldest_prompt) >= ENDS_ALIKE
        return True


class _Forest:
    """The parts of an account: `whole` by every link, `sure` by automatic ones, `copies` by those of one request."""

    def __init__(self, chats: KnownChats) -> None:
        self.chats, self._products = chats, list[str]()
        self._kept: list[tuple[float, int, int]] = []
        self._by_root: dict[int, list[tuple[float, int, int]]] = defaultdict(list)

    def grow(self, links: Iterable[ChatLink], ties: Sequence[Tie | None]) -> None:
        """Join chats and products, the strongest links first."""
        self._products = sorted({tie.product_id for tie in ties if tie})
        size = len(self.chats.records)
        nodes = {product_id: size + n for n, product_id in enumerate(self._products)}
        self.whole, self.sure, self.copies = (_Parts(self.chats, self._products) for _ in range(3))
        edges: list[tuple[float, int, int, int]] = [
            (-link.confidence, int(link.sign), link.first, link.second) for link in links if link.confidence >= OFFERED
        ]
        edges += [(-tie.confidence, 0, place, nodes[tie.product_id]) for place, tie in enumerate(ties) if tie]
        for minus, number, first, second in sorted(edges):
            sign = Sign(number) if number else None
            if self.whole.join(first, second, sign):
                self._kept.append((-minus, first, second))
            together = self.whole.root(first) == self.whole.root(second)
            if together and -minus >= AUTOMATIC:
                self.sure.join(first, second, sign)
                if sign is not None:
                    self.copies.join(first, second, sign)

    def members(self) -> list[tuple[int, list[int]]]:
        """The chats of every part, oldest first, by the part's root."""
        found: dict[int, list[int]] = defaultdict(list)
        for place in range(len(self.chats.records)):
            found[self.whole.root(place)].append(place)
        for edge in self._kept:
            self._by_root[self.whole.root(edge[1])].append(edge)
        return list(found.items())

    def group(
        self,
        root: int,
        places: Sequence[int],
        ties: Sequence[Tie | None],
        links: Sequence[ChatLink],
        evidence: ProductEvidence,
    ) -> ChatGroup | None:
        """A part as a group; None for a chat that is alone and belongs to no product."""
        edges = self._by_root[root]
        size = len(self.chats.records)
        to_product = [edge for edge in edges if edge[2] >= size]
        if len(places) < 2 and not to_product:
            return None
        # A product that hangs on one chat only does not hold the chats together.
        holding = edges if len(to_product) > 1 or len(places) < 2 else [edge for edge in edges if edge[2] < size]
        product_id = self._products[to_product[0][2] - size] if to_product else None
        held = [(place, tie) for place in places if (tie := ties[place]) and tie.product_id == product_id]
        records = self.chats.records
        return ChatGroup(
            id=_id_of(records[places[0]].chat.chat_id),
            chat_ids=tuple(records[place].chat.chat_id for place in places),
            confidence=round(min(edge[0] for edge in holding), 4),
            reasons=reasons_of(self.chats, places, links, [tie for _, tie in held], evidence),
            product_id=product_id,
            product_confidence=round(max((edge[0] for edge in to_product), default=0.0), 4),
            sure_parts=self._split(places, self.sure),
            copies=self._split(places, self.copies),
        )

    def _split(self, places: Sequence[int], parts: _Parts) -> tuple[tuple[str, ...], ...]:
        found: dict[int, list[str]] = defaultdict(list)
        for place in places:
            found[parts.root(place)].append(self.chats.records[place].chat.chat_id)
        return tuple(tuple(part) for part in found.values() if len(part) > 1)


def _id_of(oldest_chat_id: str) -> str:
    return hashlib.sha256(f"group of {oldest_chat_id}".encode()).hexdigest()[:32]
