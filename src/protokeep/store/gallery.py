"""The gallery across products: cards, counts, and how long prototypes usually take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from protokeep.core import search_text
from protokeep.core.principals import DEFAULT_WORKSPACE
from protokeep.core.prototype import NO_TIME, Prototype, State
from protokeep.store.gallery_filters import SORTS, Filters
from protokeep.store.gallery_queries import COUNTED, VARIANTS, GalleryQueries
from protokeep.store.mapping import prototype_of
from protokeep.store.prototypes import Prototypes
from protokeep.store.sql import Row, Statement, Values, owners_instant, query
from protokeep.store.text_search import TextSearch
from protokeep.store.texts import Texts

__all__ = ["COUNTED", "VARIANTS", "Card", "Counts", "GalleryQuery", "GalleryStore"]

#: How long it is remembered whether the owner's table has untracked rows. Finding out means counting two tables, which
#: grows with them, and the answer changes only when the owner's own programs write the table.
UNTRACKED_ROWS_SECONDS = 30.0
#: Texts with the words of a search of which the states are counted, if there are that many.
TEXTS_COUNTED = 400


@dataclass(frozen=True, slots=True)
class GalleryQuery:
    """Which cards of a workspace. Each of `words` is in the product's id, its name or the prompt.

    `created_by` and `user_id` are one person, as a token and as the owner's table name them. `bounds` are instants by
    their names in `gallery_queries.BOUNDS`.
    """

    workspace_id: str
    words: tuple[str, ...] = ()
    product_id: str | None = None
    provider: str | None = None
    created_by: str | None = None
    user_id: str | None = None
    bounds: tuple[tuple[str, datetime], ...] = ()
    tag: str | None = None
    favourite_of: str | None = None
    archived: str = "no"
    sort: str = "newest"

    @property
    def is_scan(self) -> bool:
        """Whether rows are read that are not shown: the more there are, the longer it takes."""
        others = self.words or self.product_id or self.provider or self.created_by or self.bounds
        return bool(others or self.is_collected)

    @property
    def is_collected(self) -> bool:
        """Whether all cards are read before the first is known."""
        return bool(self.tag or self.favourite_of or self.archived == "only" or self.is_sorted_otherwise)

    @property
    def is_sorted_otherwise(self) -> bool:
        """Whether the order is another one than that of creation."""
        return SORTS[self.sort][0] != "created_at"


@dataclass(frozen=True, slots=True)
class Card:
    """A prototype with the name of its product and its number of variants, counted up to `VARIANTS`."""

    prototype: Prototype
    product_name: str | None
    variants: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many cards there are of each state. `is_whole` False: at least so many."""

    of: Mapping[State, int]
    is_whole: bool = True


#: The position of a card in a list, as its key in the order and its id.
Cursor = tuple[datetime | str, str]


class GalleryStore:
    """Reads cards, their counts, and what a page says beside them."""

    def __init__(self, prototypes: Prototypes) -> None:
        self._prototypes = prototypes
        self._texts = Texts(prototypes.database)
        self._text_search = TextSearch(prototypes.database)
        self._queries: GalleryQueries | None = None
        self._untracked_rows: tuple[float, bool] = (0.0, False)

    async def ids(
        self, filters: GalleryQuery, states: Sequence[State], limit: int, after: Cursor | None = None
    ) -> list[Cursor]:
        """The first cards in any of `states`, as (created_at, id)."""
        shape, values = await self._prepared(filters, after)
        statement = (await self._gallery_queries()).ids(states, shape)
        rows = await self._fetch(statement, {**values, "limit": limit}, scan=filters.is_scan)
        return [(row["created_at"], row["id"]) for row in rows]

    async def counts(self, filters: GalleryQuery, states: Sequence[State]) -> Mapping[State, int]:
        """How many cards there are of each state. No number is greater than `COUNTED`."""
        shape, values = await self._prepared(filters, None)
        rows = await self._fetch((await self._gallery_queries()).counts(states, shape), values, scan=filters.is_scan)
        counts = dict.fromkeys(states, 0)
        for row in rows:
            counts[State(row["state"])] = min(counts[State(row["state"])] + row["number"], COUNTED)
        return counts

    async def search(
        self,
        filters: GalleryQuery,
        states: Sequence[State],
        limit: int,
        after: Cursor | None = None,
        *,
        counted: bool = True,
    ) -> tuple[list[Cursor], Counts]:
        """`ids` and counts at once, for filters with words. Without `counted` the counts say nothing."""
        if await self._texts.is_whole():
            return await self._search_index(filters, states, limit, after, counted=counted)
        shape, values = await self._prepared(filters, after)
        statement = (await self._gallery_queries()).searched(states, shape)
        rows = await self._fetch(statement, {**values, "limit": limit}, scan=True)
        counts = dict.fromkeys(State, 0)
        for row in rows:
            counts[State(row["state"])] += row["number"]
        return [(row["created_at"], row["id"]) for row in rows if row["id"] is not None], Counts(counts)

    async def collect(
        self, filters: GalleryQuery, states: Sequence[State], limit: int, after: Cursor | None = None
    ) -> tuple[list[Cursor], Counts]:
        """The same for filters that are collected, without words."""
        shape, values = await self._prepared(filters, after)
        statement = (await self._gallery_queries()).collected(states, shape)
        key = SORTS[filters.sort][0]
        counts = dict.fromkeys(State, 0)
        cursors: list[Cursor] = []
        for row in await self._fetch(statement, {**values, "limit": limit}, scan=True):
            counts[State(row["state"])] += row["number"]
            if row["id"] is not None:
                cursors.append((row[key] if key == "name" else owners_instant(row[key]) or NO_TIME, row["id"]))
        return cursors, Counts(counts)

    async def _search_index(
        self,
        filters: GalleryQuery,
        states: Sequence[State],
        limit: int,
        after: Cursor | None,
        *,
        counted: bool,
    ) -> tuple[list[Cursor], Counts]:
        shape, values = await self._prepared(filters, None)
        words = [word for given in filters.words for word in search_text.folded(given).split()]
        found = await self._text_search.find(
            await self._gallery_queries(),
            replace(shape, words=len(words)),
            values,
            words,
            states,
            limit,
            after=after,
            counted=TEXTS_COUNTED if counted else 0,
        )
        cursors: list[Cursor] = [(owners_instant(row["created_at"]) or NO_TIME, row["id"]) for row in found.cards]
        return cursors, Counts(found.counts, found.is_whole)

    async def cards(self, workspace_id: str, mockup_ids: Sequence[str], *, whole: bool = False) -> dict[str, Card]:
        """Cards by id, with the beginnings of their prompts, or (`whole`) all of them.

        Those of another workspace are left out.
        """
        if not mockup_ids:
            return {}
        queries = await self._gallery_queries()
        values = {"workspace_id": workspace_id, "ids": list(mockup_ids)}
        rows = await self._fetch(queries.whole_cards if whole else queries.cards, values)
        return {row["id"]: Card(prototype_of(row), row["product_name"], row["variants"]) for row in rows}

    async def durations(self, workspace_id: str, limit: int) -> list[timedelta]:
        """How long the newest ready prototypes took, from the claim to the end, of those among the newest few."""
        values = {"workspace_id": workspace_id, "limit": limit, "looked_at": 10 * limit}
        rows = await self._fetch(query("list_durations"), values)
        return [row["settled_at"] - row["created_at"] for row in rows]

    async def product_name(self, workspace_id: str, product_id: str) -> str | None:
        """The name of a product: its owner's, else the one that people gave it."""
        values = {"workspace_id": workspace_id, "product_id": product_id}
        rows = await self._fetch((await self._gallery_queries()).product_name, values)
        return next((row["name"] for row in rows if row["name"]), None)

    async def _fetch(self, statement: Statement, values: Values, *, scan: bool = False) -> list[Row]:
        database = self._prototypes.database
        if scan:
            return await database.scan(statement, values)
        async with database.reading() as connection:
            return await connection.fetch_all(statement, values)

    async def _gallery_queries(self) -> GalleryQueries:
        shape = await self._prototypes.owner_table()
        if self._queries is None or not shape.tracked:
            self._queries = GalleryQueries(shape, is_sqlite=self._prototypes.database.is_sqlite)
        return self._queries

    async def _prepared(self, filters: GalleryQuery, after: Cursor | None) -> tuple[Filters, dict[str, Any]]:
        """(which filters the statement has, their values)."""
        untracked = await self._has_untracked_rows(filters.workspace_id)
        values: dict[str, Any] = {"workspace_id": filters.workspace_id}
        for number, word in enumerate(filters.words):
            escaped = word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            values[f"word{number}"] = f"%{escaped}%"
        optional = {"product_id": filters.product_id, "provider": filters.provider, "created_by": filters.created_by}
        optional |= {"tag": filters.tag, "favourite_of": filters.favourite_of}
        values |= {name: value for name, value in (*optional.items(), *filters.bounds) if value is not None}
        if filters.created_by is not None and untracked:
            values["user_id"] = filters.user_id
        if after is not None:
            values["after_created_at"], values["after_id"] = after
        shape = Filters(
            words=len(filters.words),
            product=filters.product_id is not None,
            provider=filters.provider is not None,
            person=filters.created_by is not None,
            after=after is not None,
            untracked=untracked,
            bounds=frozenset(name for name, _ in filters.bounds),
            tag=filters.tag is not None,
            favourite=filters.favourite_of is not None,
            archived=filters.archived,
            sort=filters.sort,
        )
        return shape, values

    async def _has_untracked_rows(self, workspace_id: str) -> bool:
        """Whether there may be rows without a slot. Without tenants they belong to one workspace."""
        shape = await self._prototypes.owner_table()
        if workspace_id != DEFAULT_WORKSPACE and not shape.tenants_are_workspaces:
            return False
        checked_at, found = self._untracked_rows
        if time.monotonic() - checked_at > UNTRACKED_ROWS_SECONDS:
            rows = await self._fetch(query("has_untracked_rows"), {})
            found = bool(rows and rows[0]["found"])
            self._untracked_rows = (time.monotonic(), found)
        return found
