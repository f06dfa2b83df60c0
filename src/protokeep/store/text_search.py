"""Searches in the index of texts: which prototypes have all words, newest or oldest first, a batch at a time.

The numbers of a text lead to the few texts that can have the words. Where they lead to many, on PostgreSQL, or are not
kept, the texts are read in their order until there are enough: what many have is found soon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protokeep.core import search_text
from protokeep.core.prototype import State
from protokeep.store.database import Database
from protokeep.store.gallery_filters import Filters
from protokeep.store.gallery_queries import GalleryQueries
from protokeep.store.sql import Row, Statement, Values, query
from protokeep.store.texts import has_numbers, word_of

#: Texts of the first batch, for each card that is looked for. With common words it fills the page. A further batch is
#: as large as the missing cards ask for, and at most so many times as large as what was read before.
FIRST_BATCH, GROWTH = 4, 4
#: A batch is this much larger than what was read says is enough: another one costs more than a few texts do.
SPARE = 1.5
LARGEST_BATCH = 20_000
#: PostgreSQL: where fewer texts have the words, their numbers lead to all of them; otherwise texts are read in their
#: order, which is long if few have them. Finding so many among 100,000 takes about as long as reading a counted page.
FEW = 1500
#: The places before and after all others.
BEFORE_ALL, AFTER_ALL = -1, (1 << 63) - 1


@dataclass(slots=True)
class Found:
    """The cards that a search found, in their order, and how many of each state it saw.

    `is_whole`: it saw everything; otherwise there are more cards than `counts` says.
    """

    cards: list[Row]
    counts: dict[State, int]
    is_whole: bool = False


class TextSearch:
    """Searches of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._has_numbers: bool | None = None

    async def find(
        self,
        queries: GalleryQueries,
        filters: Filters,
        values: Values,
        words: Sequence[str],
        states: Sequence[State],
        limit: int,
        *,
        after: tuple[datetime | str, str] | None = None,
        counted: int = 0,
    ) -> Found:
        """Cards with all of the folded `words`, `limit` at most, and the counts of the first `counted` texts.

        `after`: the last card of the page before. Raises `TooSlow`.
        """
        plan = await self._plan(queries, filters, values, words)
        found = Found([], dict.fromkeys(State, 0))
        first = beginning = BEFORE_ALL if filters.oldest_first else AFTER_ALL
        if after is not None:
            first = await self._place_of(after)
        place = beginning if counted else first
        batch, seen = max(FIRST_BATCH * limit, counted), 0
        while True:
            rows = await self._database.scan(plan.statement, {**plan.values, "place": place, "most": batch})
            for row in rows:
                if row["is_card"]:
                    state = State(row["state"])
                    found.counts[state] += 1
                    is_beyond = row["place"] > first if filters.oldest_first else row["place"] < first
                    if state in states and is_beyond and len(found.cards) < limit:
                        found.cards.append(row)
            seen += len(rows)
            found.is_whole = len(rows) < batch
            if found.is_whole or (len(found.cards) == limit and seen >= counted):
                return found
            place, batch = rows[-1]["place"], next_batch(len(found.cards), limit, seen)

    async def _place_of(self, cursor: tuple[datetime | str, str]) -> int:
        """The place of a card; of one that was deleted since, the place that it had."""
        made_at, mockup_id = cursor
        rows = await self._database.read(query("find_text"), {"mockup_id": mockup_id})
        if rows:
            return int(rows[0]["place"])
        return search_text.place_of(made_at, mockup_id) if isinstance(made_at, datetime) else AFTER_ALL

    async def _plan(self, queries: GalleryQueries, filters: Filters, values: Values, words: Sequence[str]) -> _Plan:
        """How the texts are found."""
        texts = {f"word{number}": word for number, word in enumerate(words)}
        values = {**values, **texts}
        grams = search_text.grams_of_words(values["workspace_id"], words)
        if filters.person and not filters.untracked:
            return _Plan(queries.hits("of_person", filters), values)
        if filters.product:
            values["product_key"] = search_text.product_key(str(values["product_id"]))
            return _Plan(queries.hits("of_product", filters), values)
        if not grams or not await self._keeps_numbers():
            return _Plan(queries.hits("in_order", filters), values)
        if self._database.is_sqlite:
            numbers = " ".join(f'"{word_of(gram)}"' for gram in grams)
            return _Plan(queries.hits("by_numbers", filters), {**values, "numbers": numbers})
        values["numbers"] = search_text.signed(grams)
        few = await self._database.scan(queries.few_hits(len(words)), {**values, "few": FEW})
        if len(few) == FEW:
            return _Plan(queries.hits("in_order", filters), values)
        return _Plan(queries.hits("at_places", filters), {**values, "places": [row["place"] for row in few]})

    async def _keeps_numbers(self) -> bool:
        if self._has_numbers is None:
            async with self._database.reading() as connection:
                self._has_numbers = await has_numbers(connection)
        return self._has_numbers


def next_batch(found: int, limit: int, seen: int) -> int:
    """How many texts to read next, when `found` of `limit` cards were in the `seen` ones."""
    most = min(seen * GROWTH, LARGEST_BATCH)
    return min(most, 1 + int((limit - found) * seen / found * SPARE)) if found else most


@dataclass(frozen=True, slots=True)
class _Plan:
    statement: Statement
    values: dict[str, Any]
