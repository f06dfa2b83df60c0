"""The truth about a seeded account: which chats are the same request, and for which product."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import comb
from typing import Literal, NamedTuple

Kind = Literal["first", "click", "copy", "again"]
Outcome = Literal["completed", "failed", "waiting", "empty"]

#: The most wrong pairs that a score names.
_EXAMPLES = 20


class Product(NamedTuple):
    """A product as the caller knows it. The id is a UUID, a slug or a short key."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one chat.

    Chats of one `group` are the same request. `kind` tells how the chat came to be: the first of its group, a click
    too many, a copy with a near-equal prompt, or the same prompt sent again later. `outcome` is how its last generation
    ended; `waiting` and `empty` have no version. `keep` is a person's wish in its name or metadata. `trap` names what
    makes the chat look like another one, or like a kept one, that it is not.
    """

    chat_id: str
    group: int
    product_id: str | None
    kind: Kind
    outcome: Outcome
    keep: bool = False
    trap: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """How claims compare with the truth. `wrong` names up to twenty wrong claims."""

    claimed: int
    right: int
    true: int
    wrong: tuple[tuple[str, str], ...] = ()

    @property
    def precision(self) -> float:
        """The share of the claims that is right; 1 without a claim."""
        return self.right / self.claimed if self.claimed else 1.0

    @property
    def recall(self) -> float:
        """The share of the truth that was claimed; 1 where nothing was to be found."""
        return self.right / self.true if self.true else 1.0


@dataclass(slots=True)
class SeededAccount:
    """A seeded account: the key that opens it, its chats from the oldest to the newest, its products and the truth."""

    key: str
    api: str
    chats: list[str]
    products: list[Product]
    labels: dict[str, Label] = field(repr=False)

    def groups(self) -> dict[int, list[str]]:
        """The ids of every group, oldest first."""
        found: dict[int, list[str]] = defaultdict(list)
        for chat_id in self.chats:
            found[self.labels[chat_id].group].append(chat_id)
        return dict(found)

    def are_same(self, one: str, other: str) -> bool:
        """Whether two chats are the same request."""
        return self.labels[one].group == self.labels[other].group

    def trapped(self, trap: str) -> list[str]:
        """The ids of the chats of one trap."""
        return [chat_id for chat_id in self.chats if self.labels[chat_id].trap == trap]

    def score_groups(self, groups: Iterable[Iterable[str]]) -> Score:
        """The score of a grouping: every two chats in one of these groups are claimed to be the same request.

        Chats without a label, which others made since, count for nothing.
        """
        claimed = right = 0
        wrong: list[tuple[str, str]] = []
        for given in groups:
            group = [chat_id for chat_id in given if chat_id in self.labels]
            sizes = Counter(self.labels[chat_id].group for chat_id in group)
            claimed += comb(len(group), 2)
            right += sum(comb(size, 2) for size in sizes.values())
            if len(sizes) > 1 and len(wrong) < _EXAMPLES:
                first, *others = group
                wrong.append((first, next(one for one in others if not self.are_same(first, one))))
        true = sum(comb(len(members), 2) for members in self.groups().values())
        return Score(claimed, right, true, tuple(wrong))

    def score_products(self, claims: Mapping[str, str]) -> Score:
        """The score of claims that a chat (key) was made for a product's id (value)."""
        wrong = [(chat, product) for chat, product in claims.items() if self.labels[chat].product_id != product]
        true = sum(label.product_id is not None for label in self.labels.values())
        return Score(len(claims), len(claims) - len(wrong), true, tuple(wrong[:_EXAMPLES]))
