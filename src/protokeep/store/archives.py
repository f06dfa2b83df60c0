"""Archives of chats as rows. A row is never changed, except that it says what was made from it again."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from protokeep.core.audit import AuditEntry
from protokeep.store.audit import write
from protokeep.store.database import Database
from protokeep.store.sql import Row, query


@dataclass(frozen=True, slots=True)
class Archive:
    """The copy of a chat, without its body. `sha256` and `bytes` are those of the body.

    `restored_at` without `restored_as`: it is being made again, or it is not known whether that succeeded.
    """

    id: str
    workspace_id: str
    account: str
    chat_id: str
    api_version: int
    name: str
    sha256: str
    bytes: int
    created_at: datetime
    product_id: str | None = None  #: the product that its prototype was for; None: it is not known
    mockup_id: str | None = None
    restored_as: str | None = None
    restored_at: datetime | None = None


class Archives:
    """Reads and writes `protokeep_archives`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, archive: Archive, body: bytes) -> None:
        """Adds an archive with its body."""
        values = {field: getattr(archive, field) for field in _WRITTEN}
        async with self._database.transaction() as connection:
            await connection.execute(query("insert_archive"), {**values, "body": body})

    async def find(self, workspace_id: str, archive_id: str) -> Archive | None:
        """An archive of a workspace, or None."""
        rows = await self._rows("find_archive", workspace_id=workspace_id, id=archive_id)
        return _archive_of(rows[0]) if rows else None

    async def find_same(self, archive: Archive, since: datetime) -> Archive | None:
        """An archive of the same chat with the same body that was made after `since`, or None."""
        names = ("workspace_id", "account", "chat_id", "sha256")
        rows = await self._rows("find_same_archive", **{name: getattr(archive, name) for name in names}, since=since)
        return _archive_of(rows[0]) if rows else None

    async def body(self, workspace_id: str, archive_id: str) -> bytes | None:
        """The body of an archive, or None."""
        rows = await self._rows("find_archive_body", workspace_id=workspace_id, id=archive_id)
        return bytes(rows[0]["body"]) if rows else None

    async def newest(self, workspace_id: str, limit: int, after: tuple[datetime, str] | None = None) -> list[Archive]:
        """Archives of a workspace, newest first. `after` is the (created_at, id) of the last one of the page before."""
        values: dict[str, Any] = {"workspace_id": workspace_id, "limit": limit}
        if after is None:
            rows = await self._rows("list_archives", **values)
        else:
            rows = await self._rows("list_archives_after", **values, after_at=after[0], after_id=after[1])
        return [_archive_of(row) for row in rows]

    async def total(self, workspace_id: str) -> tuple[int, int]:
        """(how many archives a workspace has, their bytes)."""
        rows = await self._rows("count_archives", workspace_id=workspace_id)
        return rows[0]["archives"], rows[0]["bytes"]

    async def claim_restoring(self, archive: Archive, now: datetime, *, stale_before: datetime) -> bool:
        """Claims that an archive is made again. False: it was, or another one does so since `stale_before`."""
        return await self._execute("claim_restoring", **_key_of(archive), now=now, stale_before=stale_before) > 0

    async def release_restoring(self, archive: Archive, claimed_at: datetime) -> None:
        """Ends a claim that certainly made nothing."""
        await self._execute("release_restoring", **_key_of(archive), claimed_at=claimed_at)

    async def mark_restored(self, archive: Archive, chat_id: str, now: datetime) -> None:
        """Writes down which chat was made from an archive."""
        await self._execute("mark_restored", **_key_of(archive), chat_id=chat_id, now=now)

    async def remove(self, workspace_id: str, archive_id: str, before: datetime, entry: AuditEntry) -> bool:
        """Removes an archive. False: there is none that was made before that time and that nothing waits for."""
        values = {"workspace_id": workspace_id, "id": archive_id, "before": before}
        return await self._remove("delete_archive", values, entry) > 0

    async def remove_before(self, workspace_id: str, before: datetime, entry: AuditEntry) -> int:
        """Removes the archives made before a time, except those that something still waits for. Returns how many."""
        return await self._remove("delete_archives_before", {"workspace_id": workspace_id, "before": before}, entry)

    async def _remove(self, name: str, values: dict[str, Any], entry: AuditEntry) -> int:
        async with self._database.transaction() as connection:
            removed = await connection.execute(query(name), values)
            if removed:
                details = {**entry.data, "archives": removed}
                await write(connection, replace(entry, data=details))
        return removed

    async def _rows(self, name: str, **values: Any) -> list[Row]:
        async with self._database.reading() as connection:
            return await connection.fetch_all(query(name), values)

    async def _execute(self, name: str, **values: Any) -> int:
        async with self._database.transaction() as connection:
            return await connection.execute(query(name), values)


_WRITTEN = tuple(field.name for field in fields(Archive) if field.name not in ("restored_as", "restored_at"))


def _key_of(archive: Archive) -> dict[str, str]:
    return {"id": archive.id, "workspace_id": archive.workspace_id}


def _archive_of(row: Row) -> Archive:
    return Archive(**row)
