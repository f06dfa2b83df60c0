"""What an account holds, in numbers: whose chats, of which kind, how old, what they cost, and which nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from protokeep.core.census import ChatContent, ChatKind, Claim

AGES = ("week", "month", "quarter", "year", "older", "unknown")
#: Why nobody needs a chat: stable word -> the reason for people. The first that holds counts.
NEEDLESS: Mapping[str, str] = {
    "empty": "Nothing was ever made in it.",
    "failed": "Its newest version failed.",
    "duplicate": "Another chat asked for the same, and that one is better.",
    "surplus": "It is a second chat of a prototype that has another one.",
}
#: Claims of chats that no product uses.
UNUSED = frozenset({Claim.NOBODY, Claim.LOST, Claim.SURPLUS})


class Named(Protocol):
    """A number of chats under a name, and what they cost."""

    @property
    def name(self) -> str | None: ...
    @property
    def chats(self) -> int: ...
    @property
    def credits(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """A number of chats and what they cost; `credits` None: nothing is known of that."""

    chats: int = 0
    credits: float | None = None

    def __add__(self, other: Tally) -> Tally:
        costs = [one for one in (self.credits, other.credits) if one is not None]
        return Tally(self.chats + other.chats, round(sum(costs), 6) if costs else None)


@dataclass(frozen=True, slots=True)
class CensusSummary:
    """Numbers by one property at a time. Missing and foreign chats are in `missing` and `by_claim` only."""

    total: Tally
    missing: Tally
    pinned: Tally
    favorites: Tally
    by_claim: Mapping[str, Tally]
    by_kind: Mapping[str, Tally]
    by_content: Mapping[str, Tally]
    by_age: Mapping[str, Tally]
    needless: Mapping[str, Tally]
    authors: Sequence[Named]
    products: Sequence[Named]


def summary_of(rows: Iterable[Mapping[str, Any]], authors: Sequence[Named], products: Sequence[Named]) -> CensusSummary:
    """The summary of rows that each count chats alike in claim, kind, content, age, and what protects them."""
    counted = list(rows)
    shown = [row for row in counted if not row["is_missing"]]
    seen = [row for row in shown if row["claim"] != Claim.FOREIGN]
    return CensusSummary(
        total=_sum(seen),
        missing=_sum(row for row in counted if row["is_missing"] and row["claim"] != Claim.FOREIGN),
        pinned=_sum(row for row in seen if row["is_pinned"]),
        favorites=_sum(row for row in seen if row["is_favorite"]),
        by_claim=_by(shown, lambda row: row["claim"], [claim.value for claim in Claim]),
        by_kind=_by(seen, lambda row: row["kind"] or ChatKind.UNDECIDED.value, [kind.value for kind in ChatKind]),
        by_content=_by(seen, lambda row: row["content"], [content.value for content in ChatContent]),
        by_age=_by(seen, lambda row: row["age"], AGES),
        needless=_by(seen, _needless, list(NEEDLESS)),
        authors=authors,
        products=products,
    )


def _needless(row: Mapping[str, Any]) -> str | None:
    """Why nobody needs these chats; None: somebody may."""
    if row["is_kept"] or row["claim"] not in UNUSED:
        return None
    held = {
        "empty": row["content"] == ChatContent.EMPTY,
        "failed": row["content"] == ChatContent.FAILED,
        "duplicate": row["kind"] == ChatKind.DUPLICATE,
        "surplus": row["claim"] == Claim.SURPLUS,
    }
    return next((name for name in NEEDLESS if held[name]), None)


def _by(
    rows: Iterable[Mapping[str, Any]], name_of: Callable[[Mapping[str, Any]], str | None], names: Sequence[str]
) -> dict[str, Tally]:
    tallies = dict.fromkeys(names, Tally())
    for row in rows:
        name = name_of(row)
        if name is not None:
            # What a foreign chat has cost is nobody's here to know.
            tallies[name] = tallies.get(name, Tally()) + _tally(row)
    return tallies


def _sum(rows: Iterable[Mapping[str, Any]]) -> Tally:
    return sum((_tally(row) for row in rows), Tally())


def _tally(row: Mapping[str, Any]) -> Tally:
    credits = None if row["claim"] == Claim.FOREIGN else row["credits"]
    return Tally(row["number"], None if credits is None else round(credits, 6))
