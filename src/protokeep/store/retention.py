"""What is removed because it is old: idempotency keys, steps in histories, pictures, and lines of the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from protokeep.core.audit import AuditEntry
from protokeep.store.audit import BEGINNING, write
from protokeep.store.database import Database
from protokeep.store.sql import Connection, Row, query

#: How long a step waits for the audit while others write there, before it is given up. They wait as long behind it.
AUDIT_LOCK_WAIT = "500ms"
#: Rows that are counted at the most.
COUNTED = 10_000_000


class RetentionStore:
    """Counts and removes rows of all workspaces, a step at a time: each is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count_keys(self, before: datetime) -> int:
        """How many idempotency keys were first used before a time."""
        return await self._count("count_expired_idempotency_keys", before)

    async def delete_keys(self, before: datetime, limit: int) -> int:
        """Deletes some of them. Returns their number; 0: there are no more."""
        async with self._database.transaction() as connection:
            return await connection.execute(
                query("delete_expired_idempotency_keys"), {"before": before, "limit": limit}
            )

    async def prune_events(
        self, after: int, before: datetime, kinds: Sequence[str], limit: int, *, dry_run: bool
    ) -> tuple[int | None, int]:
        """Looks at the next events and removes those of some kinds that happened before a time and that may go.

        The newest event of each prototype stays, and all of one that is not settled. Returns the event after which the
        next step begins (None: all later ones are younger) and how many were removed, or with `dry_run` would be.
        """
        async with self._database.reading() as connection:
            window = await connection.fetch_one(query("find_event_window"), {"after": after, "limit": limit})
            if window is None or window["last_id"] is None or window["oldest_at"] >= before:
                return None, 0
            values = {"after": after, "last": window["last_id"], "before": before, "kinds": list(kinds)}
            ids = [row["id"] for row in await connection.fetch_all(query("list_removable_events"), values)]
        if ids and not dry_run:
            async with self._database.transaction() as connection:
                await connection.execute(query("delete_events"), {"ids": ids})
        return int(window["last_id"]), len(ids)

    async def count_pictures(self, before: datetime) -> int:
        """How many pictures may go, of prototypes that were settled before a time."""
        async with self._database.reading() as connection:
            values = {"before": before, "limit": COUNTED}
            return len(await connection.fetch_all(query("list_removable_pictures"), values))

    async def delete_pictures(self, before: datetime, limit: int) -> int:
        """Deletes some of them. Returns their number; 0: there are no more."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("list_removable_pictures"), {"before": before, "limit": limit})
        ids = [row["mockup_id"] for row in rows]
        if ids:
            async with self._database.transaction() as connection:
                await connection.execute(query("forget_pictures"), {"mockup_ids": ids})
                await connection.execute(query("delete_pictures"), {"mockup_ids": ids})
        return len(ids)

    async def audited_workspaces(self) -> AsyncIterator[str]:
        """The workspaces that have lines in the audit."""
        row: Row | None = {"workspace_id": ""}
        while row is not None and row["workspace_id"] is not None:
            async with self._database.reading() as connection:
                row = await connection.fetch_one(query("find_next_audited_workspace"), {"after": row["workspace_id"]})
            if row is not None and row["workspace_id"] is not None:
                yield row["workspace_id"]

    async def old_audit(
        self,
        workspace_id: str,
        before: datetime,
        lasting: Sequence[str],
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Row]:
        """Lines of a workspace that were written before a time, oldest first, but for those of `lasting` actions."""
        after_at, after_id = after or (BEGINNING, "")
        values = {"workspace_id": workspace_id, "before": before, "lasting": list(lasting), "limit": limit}
        values |= {"after_at": after_at, "after_id": after_id}
        async with self._database.reading() as connection:
            return await connection.fetch_all(query("list_old_audit"), values)

    async def delete_audit(self, ids: Sequence[str], receipts: Sequence[AuditEntry]) -> None:
        """Deletes lines of the audit, and adds receipts of it in the same transaction.

        The triggers that refuse changes are off for this transaction only, whose lock keeps other writers out. Raises
        `DatabaseError` on PostgreSQL for a role that does not own the table.
        """
        async with self._database.transaction() as connection:
            await write(connection, *receipts)
            await _let_audit_change(connection)
            await connection.execute(query("delete_audit"), {"ids": list(ids)})
            kind = "_in_sqlite" if connection.is_sqlite else ""
            await connection.execute(query(f"refuse_audit_deletion{kind}"))

    async def _count(self, statement: str, before: datetime) -> int:
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query(statement), {"before": before})
        return int(row["number"]) if row else 0


async def _let_audit_change(connection: Connection) -> None:
    if connection.is_sqlite:
        await connection.execute(query("allow_audit_deletion_in_sqlite"))
        return
    await connection.execute(query("limit_lock_wait"), {"duration": AUDIT_LOCK_WAIT})
    await connection.execute(query("allow_audit_deletion"))
