"""How people arrange products, as rows: tags, the archive, favourites and saved views.

Each change is one transaction with its audit entries, and viewers of the product are told of it after the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protokeep.bus import Change
from protokeep.core.audit import AuditEntry
from protokeep.core.errors import InvalidInput
from protokeep.store import audit
from protokeep.store.changes import Changes
from protokeep.store.database import Database
from protokeep.store.sql import Connection, query

TAGS_PER_PRODUCT = 20
TAGS_PER_WORKSPACE = 1000
FAVOURITES_PER_PERSON = 500
VIEWS_PER_PERSON = 20


@dataclass(frozen=True, slots=True)
class ProductKey:
    """A product of a workspace. `mockup_id`: a prototype of it, which stands for it where no slot does."""

    workspace_id: str
    product_id: str
    mockup_id: str

    @property
    def values(self) -> dict[str, Any]:
        """The values of a statement."""
        return {"workspace_id": self.workspace_id, "product_id": self.product_id}


@dataclass(frozen=True, slots=True)
class SavedView:
    """Filters of the gallery by the name that a person gave them; `query` is that of the home page's address."""

    name: str
    query: str


class ArrangementStore:
    """Reads and writes the four tables."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def change_tags(
        self, product: ProductKey, add: Sequence[str], remove: Sequence[str], entry: AuditEntry
    ) -> bool:
        """Adds and removes tags. False: nothing changed. Raises `InvalidInput` for more tags than there may be."""
        async with self._database.transaction() as connection:
            touched = 0
            # In one order of the tags, whatever is done to each: two people at once do not wait for each other in turn.
            steps = sorted(
                [(tag, "insert_product_tag") for tag in add] + [(tag, "delete_product_tag") for tag in remove]
            )
            for tag, statement in steps:
                touched += await connection.execute(query(statement), {**product.values, "tag": tag})
            if touched == 0:
                return False
            await _require_few_tags(connection, product, add)
            changes = await self._tell(connection, product, entry)
        self._publish(changes)
        return True

    async def set_archived(self, product: ProductKey, now: datetime, entry: AuditEntry, *, archived: bool) -> bool:
        """Archives a product, or brings it back. False: nothing changed."""
        statement = query("archive_product" if archived else "unarchive_product")
        values = {**product.values, "now": now} if archived else product.values
        async with self._database.transaction() as connection:
            if await connection.execute(statement, values) == 0:
                return False
            changes = await self._tell(connection, product, entry)
        self._publish(changes)
        return True

    async def tags(self, workspace_id: str, limit: int) -> list[str]:
        """The tags that products of a workspace have, in the order of the alphabet."""
        rows = await self._database.read(query("list_tags"), {"workspace_id": workspace_id, "limit": limit})
        return [row["tag"] for row in rows]

    async def makers(self, workspace_id: str, limit: int) -> list[str]:
        """People who asked for prototypes of a workspace, in the order of the alphabet."""
        rows = await self._database.read(query("list_makers"), {"workspace_id": workspace_id, "limit": limit})
        return [row["created_by"] for row in rows]

    async def set_favourite(self, product: ProductKey, user_id: str, *, favourite: bool) -> bool:
        """Makes a product a favourite of a person, or no more. False: nothing changed. Raises `InvalidInput`."""
        values = {**product.values, "user_id": user_id}
        statement = query("insert_favourite" if favourite else "delete_favourite")
        async with self._database.transaction() as connection:
            if await connection.execute(statement, values) == 0:
                return False
            most = {"workspace_id": product.workspace_id, "user_id": user_id, "limit": FAVOURITES_PER_PERSON + 1}
            if favourite and len(await connection.fetch_all(query("list_favourites"), most)) > FAVOURITES_PER_PERSON:
                raise InvalidInput(f"You have {FAVOURITES_PER_PERSON} favourites, which is the most. Remove one first.")
        return True

    async def favourites(self, workspace_id: str, user_id: str) -> frozenset[str]:
        """The favourite products of a person."""
        values = {"workspace_id": workspace_id, "user_id": user_id, "limit": FAVOURITES_PER_PERSON}
        return frozenset(str(row["product_id"]) for row in await self._database.read(query("list_favourites"), values))

    async def save_view(self, workspace_id: str, user_id: str, view: SavedView) -> None:
        """Saves a view; one with the same name is replaced. Raises `InvalidInput` for more than there may be."""
        person = {"workspace_id": workspace_id, "user_id": user_id}
        async with self._database.transaction() as connection:
            await connection.execute(query("save_view"), {**person, "name": view.name, "query": view.query})
            saved = await connection.fetch_all(query("list_views"), {**person, "limit": VIEWS_PER_PERSON + 1})
            if len(saved) > VIEWS_PER_PERSON:
                raise InvalidInput(f"You have {VIEWS_PER_PERSON} saved views, which is the most. Remove one first.")

    async def delete_view(self, workspace_id: str, user_id: str, name: str) -> None:
        """Deletes a view. One that is gone is no error."""
        values = {"workspace_id": workspace_id, "user_id": user_id, "name": name}
        async with self._database.transaction() as connection:
            await connection.execute(query("delete_view"), values)

    async def views(self, workspace_id: str, user_id: str) -> list[SavedView]:
        """The saved views of a person, in the order of their names."""
        values = {"workspace_id": workspace_id, "user_id": user_id, "limit": VIEWS_PER_PERSON}
        return [SavedView(**row) for row in await self._database.read(query("list_views"), values)]

    async def _tell(self, connection: Connection, product: ProductKey, entry: AuditEntry) -> Sequence[Change]:
        """Audits a change of a product, and notifies the other processes of its current prototypes."""
        await audit.write(connection, entry)
        rows = await connection.fetch_all(query("list_slots_of_product"), product.values)
        ids = {product.mockup_id, *(row["mockup_id"] for row in rows)}
        changes = [Change(product.workspace_id, product.product_id, one, "", "changed") for one in sorted(ids)]
        for change in changes:
            self._changes.notify(connection, change)
        return changes

    def _publish(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._changes.publish(change)


async def _require_few_tags(connection: Connection, product: ProductKey, added: Sequence[str]) -> None:
    """Raises `InvalidInput`, which rolls the transaction back."""
    if not added:
        return
    if len(await connection.fetch_all(query("list_tags_of_product"), product.values)) > TAGS_PER_PRODUCT:
        raise InvalidInput(f"A product has at most {TAGS_PER_PRODUCT} tags. Remove one first.", field="tag")
    most = {"workspace_id": product.workspace_id, "limit": TAGS_PER_WORKSPACE + 1}
    if len(await connection.fetch_all(query("list_tags"), most)) > TAGS_PER_WORKSPACE:
        raise InvalidInput(
            f"This workspace has {TAGS_PER_WORKSPACE:,} tags, which is the most. Use one of them.", field="tag"
        )


async def bring_back(connection: Connection, workspace_id: str, product_id: str) -> bool:
    """Brings an archived product back, in the transaction of a create for it. False: it was not archived."""
    values = {"workspace_id": workspace_id, "product_id": product_id}
    return await connection.execute(query("unarchive_product"), values) > 0
