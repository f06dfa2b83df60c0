"""Which chats of an account are the same, how surely, and why.

Chats are joined by the strongest links first (a maximum spanning forest, Kruskal 1956), and a link that would join
unlike things is left out: two products, two prompts under one name, the ends of a chain of like prompts. So a group's
confidence is that of the weakest link that holds it together. The order of the input changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
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
    offered = [(product, prompt) for product in sorted(products, key=_id) for prompt in sorted(product.prompts)]
    index = PromptIndex([*(record.prompt for record in placed), *(prompt for _, prompt in offered)])
    prompts = index.numbers[: len(placed)]
    of_products = zip((product.product_id for product, _ in offered), index.numbers[len(placed) :], strict=True)
    evidence = ProductEvidence(products, of_products, index, project_names)
    ties = [evidence.of(record, prompt) for record, prompt in zip(placed, prompts, strict=True)]
    strong = [tie.product_id if tie and tie.confidence >= STRONG else None for tie in ties]
    named = [evidence.named_in(record.chat.name) for record in placed]
    mentioned = [names | evidence.mentioned_in(prompt) for names, prompt in zip(named, prompts, strict=True)]
    chats = KnownChats(placed, prompts, strong, named, mentioned, index)
    links = links_between(chats, project_names)
    forest = _Forest(chats, links)
    inside: dict[int, list[ChatLink]] = defaultdict(list)
    for link in links:
        if forest.whole.root(link.first) == forest.whole.root(link.second):
            inside[forest.whole.root(link.first)].append(link)
    groups = (_group(forest, places, ties, inside[root], evidence) for root, places in forest.whole.members().items())
    return sorted(
        (group for group in groups if group), key=lambda group: (-group.confidence, -len(group.chat_ids), group.id)
    )


def _id(product: KnownProduct) -> str:
    return product.product_id


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
    """Chats that were joined so far (union by the smaller place, so that a part's root is its oldest chat)."""

    def __init__(self, chats: KnownChats) -> None:
        known = zip(chats.products, chats.mentioned, chats.prompts, strict=True)
        self._parents = list(range(len(chats.records)))
        self._parts = [
            _Part(product, mentioned, frozenset() if prompt is None else frozenset({prompt}), prompt)
            for product, mentioned, prompt in known
        ]
        self._index = chats.index

    def root(self, place: int) -> int:
        """The oldest chat of the part that a place is in."""
        while self._parents[place] != place:
            self._parents[place] = place = self._parents[self._parents[place]]
        return place

    def members(self) -> dict[int, list[int]]:
        """The chats of every part, oldest first, by the part's root."""
        found: dict[int, list[int]] = defaultdict(list)
        for place in range(len(self._parents)):
            found[self.root(place)].append(place)
        return found

    def join(self, link: ChatLink) -> bool:
        """Join two parts; False: they are one already, or unlike things."""
        one, other = sorted((self.root(link.first), self.root(link.second)))
        if one == other or not self._may_join(self._parts[one], self._parts[other], link.sign):
            return False
        mine, theirs = self._parts[one], self._parts[other]
        self._parents[other] = one
        mine.product = mine.product or theirs.product
        mine.mentioned |= theirs.mentioned
        mine.prompts |= theirs.prompts
        if mine.oldest_prompt is None:
            mine.oldest_prompt = theirs.oldest_prompt
        return True

    def _may_join(self, one: _Part, other: _Part, sign: Sign) -> bool:
        if one.product and other.product and one.product != other.product:
            return False
        if sign is Sign.PROMPT:
            return True
        if one.mentioned and other.mentioned and not one.mentioned & other.mentioned:
            return False  # One template or one project, and two products.
        if sign is Sign.NEAR_PROMPT and one.oldest_prompt is not None and other.oldest_prompt is not None:
            return self._index.alike(one.oldest_prompt, other.oldest_prompt) >= ENDS_ALIKE
        return not one.prompts or not other.prompts or bool(one.prompts & other.prompts)


class _Forest:
    """The parts of an account: `whole` by every link that is offered, `copies` by automatic ones."""

    def __init__(self, chats: KnownChats, links: Sequence[ChatLink]) -> None:
        self.chats = chats
        self.whole, self.copies = _Parts(chats), _Parts(chats)
        kept: list[ChatLink] = []
        for link in sorted(links, key=lambda link: (-link.confidence, link.sign, link.first, link.second)):
            if link.confidence >= OFFERED and self.whole.join(link):
                kept.append(link)
                if link.confidence >= AUTOMATIC:
                    self.copies.join(link)
        self._weakest: dict[int, float] = {}
        for link in kept:
            root = self.whole.root(link.first)
            self._weakest[root] = min(link.confidence, self._weakest.get(root, 1.0))

    def confidence_of(self, root: int) -> float | None:
        """The weakest link of a part; None for a chat that is alone."""
        return self._weakest.get(root)


def _group(
    forest: _Forest,
    places: Sequence[int],
    ties: Sequence[Tie | None],
    links: Sequence[ChatLink],
    evidence: ProductEvidence,
) -> ChatGroup | None:
    """A part as a group; None for a chat that is alone and belongs to no product."""
    tie = _tie_of([tie for place in places if (tie := ties[place])])
    confidence = forest.confidence_of(places[0])
    if confidence is None and tie is None:
        return None
    held = [known for place in places if tie and (known := ties[place]) and known.product_id == tie.product_id]
    ids = {place: forest.chats.records[place].chat.chat_id for place in places}
    parts: dict[int, list[str]] = defaultdict(list)
    for place in places:
        parts[forest.copies.root(place)].append(ids[place])
    return ChatGroup(
        id=hashlib.sha256(f"group of {ids[places[0]]}".encode()).hexdigest()[:32],
        chat_ids=tuple(ids.values()),
        confidence=round(tie.confidence if confidence is None and tie else confidence or 0.0, 4),
        reasons=reasons_of(forest.chats, places, links, held, evidence),
        product_id=tie.product_id if tie else None,
        product_confidence=round(tie.confidence, 4) if tie else 0.0,
        copies=tuple(tuple(part) for part in parts.values() if len(part) > 1),
    )


def _tie_of(ties: Sequence[Tie]) -> Tie | None:
    """The strongest evidence for a group's product; None: there is none, or as strong evidence for another one."""
    strongest = max((tie.confidence for tie in ties), default=0.0)
    best = {tie.product_id: tie for tie in ties if tie.confidence == strongest}
    return best.popitem()[1] if len(best) == 1 else None
