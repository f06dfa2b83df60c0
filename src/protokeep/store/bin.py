"""The prototypes in the bin as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from protokeep.core.prototype import TrackedPrototype
from protokeep.store.mapping import tracked_prototype_of
from protokeep.store.sql import Statement, query

if TYPE_CHECKING:
    from protokeep.store.prototypes import Prototypes


class BinStore:
    """Reads the bin."""

    def __init__(self, prototypes: Prototypes) -> None:
        self._prototypes = prototypes

    async def due(self, now: datetime, limit: int = 20) -> list[TrackedPrototype]:
        """Prototypes whose time in the bin is over, or whose chat is to be copied now."""
        queries = await self._prototypes.prepared()
        return await self._read(queries.due_in_bin, now=now, limit=limit)

    async def wait_longer(self, due_at: datetime) -> int:
        """Lets everything in the bin, of all workspaces, wait until `due_at` at least. Returns how many wait longer."""
        async with self._prototypes.database.transaction() as connection:
            return await connection.execute(query("wait_longer_in_bin"), {"due_at": due_at})

    async def newest_to_go(
        self, workspace_id: str, limit: int, after: tuple[datetime, str] | None = None
    ) -> Sequence[TrackedPrototype]:
        """The bin of a workspace: what goes next comes first, with the beginnings of the prompts.

        `after` is the (time of its end, id) of the last one of the page before.
        """
        queries = await self._prototypes.prepared()
        values: dict[str, Any] = {"workspace_id": workspace_id, "limit": limit}
        if after is None:
            return await self._read(queries.in_bin, **values)
        return await self._read(queries.in_bin_after, **values, after_at=after[0], after_id=after[1])

    async def _read(self, statement: Statement, **values: Any) -> list[TrackedPrototype]:
        async with self._prototypes.database.reading() as connection:
            return [tracked_prototype_of(row) for row in await connection.fetch_all(statement, values)]
