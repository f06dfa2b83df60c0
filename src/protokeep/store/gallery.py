"""What the page lists across products: cards, counts, and how long things usually take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from protokeep.core.prototype import Prototype, State
from protokeep.store.database import Session
from protokeep.store.gallery_queries import COUNTED, VARIANTS, Filters, GalleryQueries
from protokeep.store.mapping import prototype_of
from protokeep.store.prototype_queries import DEFAULT_WORKSPACE, query
from protokeep.store.prototypes import Store

__all__ = ["COUNTED", "VARIANTS", "Card", "GalleryQuery", "GalleryStore"]

#: Whether there are rows without a slot changes when somebody else writes the owner's table: seldom.
OLDER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class GalleryQuery:
    """Which cards of a workspace. `words` have to be in the product's id, its name or the prompt, each of them.

    `created_by` and `user_id` are one person, as a token and as the owner's table name them.
    """

    workspace_id: str
    words: tuple[str, ...] = ()
    product_id: str | None = None
    provider: str | None = None
    created_by: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A prototype with what a card says of its product. `variants` stops at `VARIANTS`."""

    prototype: Prototype
    product_name: str | None
    variants: int


#: A place in a list: what comes after it is older.
Cursor = tuple[datetime, str]


class GalleryStore:
    """Reads only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._statements: GalleryQueries | None = None
        self._older: tuple[float, bool] = (0.0, False)

    async def ids(
        self, wish: GalleryQuery, states: Sequence[State], limit: int, after: Cursor | None = None
    ) -> list[Cursor]:
        """Where the newest cards are, as (created_at, id)."""
        filters, values = await self._prepared(wish, after)
        async with self._store.database.reading() as session:
            rows = await session.rows((await self._made()).ids(states, filters), {**values, "limit": limit})
        return [(row["created_at"], row["id"]) for row in rows]

    async def counts(self, wish: GalleryQuery, states: Sequence[State]) -> Mapping[State, int]:
        """How many cards there are by state; no number is greater than `COUNTED`."""
        filters, values = await self._prepared(wish, None)
        async with self._store.database.reading() as session:
            rows = await session.rows((await self._made()).counts(states, filters), values)
        counted = dict.fromkeys(states, 0)
        for row in rows:
            counted[State(row["state"])] = min(counted[State(row["state"])] + row["number"], COUNTED)
        return counted

    async def search(
        self, wish: GalleryQuery, states: Sequence[State], limit: int, after: Cursor | None = None
    ) -> tuple[list[Cursor], Mapping[State, int]]:
        """`ids` and `counts` at once, for a wish with words: the text is read once. These counts are exact."""
        filters, values = await self._prepared(wish, after)
        async with self._store.database.reading() as session:
            rows = await session.rows((await self._made()).searched(states, filters), {**values, "limit": limit})
        counted = dict.fromkeys(State, 0)
        for row in rows:
            counted[State(row["state"])] += row["number"]
        return [(row["created_at"], row["id"]) for row in rows if row["id"] is not None], counted

    async def cards(self, workspace_id: str, mockup_ids: Sequence[str]) -> dict[str, Card]:
        """Cards by id; those of another workspace are not among them."""
        if not mockup_ids:
            return {}
        values = {"workspace_id": workspace_id, "ids": list(mockup_ids)}
        async with self._store.database.reading() as session:
            rows = await session.rows((await self._made()).cards, values)
        return {row["id"]: Card(prototype_of(row), row["product_name"], row["variants"]) for row in rows}

    async def durations(self, workspace_id: str, limit: int) -> list[timedelta]:
        """How long the newest ready ones took, from claim to settled."""
        rows = await self._rows("durations", workspace_id=workspace_id, limit=limit)
        return [row["settled_at"] - row["created_at"] for row in rows]

    async def recent_products(self, workspace_id: str, limit: int) -> list[str]:
        """Ids of the products that something was made for last."""
        rows = await self._rows("recent_products", workspace_id=workspace_id, limit=limit)
        return [row["product_id"] for row in rows]

    async def product_name(self, workspace_id: str, product_id: str) -> str | None:
        """What people call a product."""
        rows = await self._rows("product_name", workspace_id=workspace_id, product_id=product_id)
        return rows[0]["name"] if rows else None

    async def _rows(self, name: str, **values: Any) -> list[dict[str, Any]]:
        async with self._store.database.reading() as session:
            return await session.rows(query(name), values)

    async def _made(self) -> GalleryQueries:
        shape = await self._store.owner_table()
        if self._statements is None or not shape.tracked:
            self._statements = GalleryQueries(shape, is_sqlite=self._store.database.is_sqlite)
        return self._statements

    async def _prepared(self, wish: GalleryQuery, after: Cursor | None) -> tuple[Filters, dict[str, Any]]:
        values: dict[str, Any] = {"workspace_id": wish.workspace_id}
        for n, word in enumerate(wish.words):
            escaped = word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            values[f"word{n}"] = f"%{escaped}%"
        if wish.product_id is not None:
            values["product_id"] = wish.product_id
        if wish.provider is not None:
            values["provider"] = wish.provider
        if after is not None:
            values["after_created_at"], values["after_id"] = after
        older = await self._has_older(wish.workspace_id)
        if wish.created_by is not None:
            values["created_by"] = wish.created_by
            if older:
                values["user_id"] = wish.user_id
        filters = Filters(
            words=len(wish.words),
            product=wish.product_id is not None,
            provider=wish.provider is not None,
            mine=wish.created_by is not None,
            after=after is not None,
            older=older,
        )
        return filters, values

    async def _has_older(self, workspace_id: str) -> bool:
        """Whether there may be rows without a slot; they belong to one workspace."""
        if workspace_id != DEFAULT_WORKSPACE:
            return False
        looked, found = self._older
        if time.monotonic() - looked > OLDER_SECONDS:
            async with self._store.database.reading() as session:
                found = await _any_older(session)
            self._older = (time.monotonic(), found)
        return found


async def _any_older(session: Session) -> bool:
    row = await session.row(query("any_older"), {})
    return bool(row and row["found"])
