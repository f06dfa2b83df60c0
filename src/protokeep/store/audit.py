"""The audit as rows, which are added and read, and never changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from protokeep.core.audit import Action, AuditEntry
from protokeep.store.database import Database
from protokeep.store.sql import Connection, Row, Values, query

#: Before and after every entry.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry with its id in the audit."""

    id: str
    entry: AuditEntry


class AuditStore:
    """Adds to `protokeep_audit` and reads it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, *entries: AuditEntry) -> None:
        """Adds entries, all or none."""
        async with self._database.transaction() as connection:
            await write(connection, *entries)

    async def list(
        self,
        workspace_id: str,
        limit: int,
        *,
        action: str | None = None,
        actor: str | None = None,
        since: datetime = BEGINNING,
        until: datetime = END,
        after: tuple[datetime, str] | None = None,
    ) -> list[AuditRecord]:
        """Entries of a workspace, newest first. `after` is the (time, id) of the last entry of the page before.

        Raises `TooSlow` where entries of one action or actor are looked for.
        """
        values: dict[str, Any] = {"workspace_id": workspace_id, "limit": limit, "action": action, "actor": actor}
        values |= {"since": since, "until": until}
        statement = "list_audit"
        if after is not None:
            statement = "list_audit_after"
            values["after_at"], values["after_id"] = after
        if action is not None or actor is not None:  # Entries that do not match are read, too.
            return [record_of(row) for row in await self._database.scan(query(statement), values)]
        async with self._database.reading() as connection:
            return [record_of(row) for row in await connection.fetch_all(query(statement), values)]


async def write(connection: Connection, *entries: AuditEntry) -> None:
    """Adds entries, in the transaction of the change that they tell of."""
    for entry in entries:
        await connection.execute(query("insert_audit"), _values(entry))


def _values(entry: AuditEntry) -> Values:
    return {
        "id": uuid4().hex,
        "workspace_id": entry.workspace_id,
        "at": entry.at,
        "action": entry.action.value,
        "actor": entry.actor,
        "token_id": entry.token_id,
        "address": entry.address,
        "subject": entry.subject,
        "data": json.dumps(dict(entry.data), ensure_ascii=False) if entry.data else None,
    }


def record_of(row: Row) -> AuditRecord:
    """The entry of a row whose time is called `written_at`."""
    entry = AuditEntry(
        workspace_id=row["workspace_id"],
        at=row["written_at"],
        action=Action(row["action"]),
        actor=row["actor"],
        token_id=row["token_id"],
        address=row["address"],
        subject=row["subject"],
        data=json.loads(row["data"]) if row["data"] else {},
    )
    return AuditRecord(row["id"], entry)
