"""The audit as rows: they are added and read, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from protokeep.core.audit import Action, AuditEntry
from protokeep.store.database import Database, Part, Row, Session
from protokeep.store.prototype_queries import query


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry as it stands in the audit."""

    id: str
    entry: AuditEntry


class AuditStore:
    """Adds to `protokeep_audit`, and reads it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, *entries: AuditEntry) -> None:
        """Write entries, all or none."""
        async with self._database.transaction() as session:
            await write(session, *entries)

    async def list(
        self,
        workspace_id: str,
        limit: int,
        *,
        action: str | None = None,
        actor: str | None = None,
        after: tuple[datetime, str] | None = None,
    ) -> list[AuditRecord]:
        """Entries of a workspace, newest first, after the one that `after` names."""
        values: dict[str, Any] = {"workspace_id": workspace_id, "limit": limit, "action": action, "actor": actor}
        statement = "list_audit"
        if after is not None:
            statement = "list_audit_after"
            values["after_at"], values["after_id"] = after
        async with self._database.reading() as session:
            return [_written(row) for row in await session.rows(query(statement), values)]


async def write(session: Session, *entries: AuditEntry) -> None:
    """Write entries in the transaction of what they tell of."""
    await session.run_many(query("insert_audit"), [_values(entry) for entry in entries])


def part(entry: AuditEntry) -> Part:
    """The same, as a part of what is written together."""
    return query("insert_audit"), _values(entry)


def _values(entry: AuditEntry) -> Mapping[str, Any]:
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


def _written(row: Row) -> AuditRecord:
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
