"""API tokens as rows. Only their digests are stored, never the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from protokeep.core.audit import AuditEntry
from protokeep.core.principals import ApiToken, Person, Role
from protokeep.store.audit import write
from protokeep.store.database import Database
from protokeep.store.sql import Row, query


class TokenStore:
    """Reads and writes `protokeep_api_tokens`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digest: str) -> ApiToken | None:
        """The token with a digest, in any state."""
        rows = await self._database.read(query("find_token"), {"digest": digest})
        return token_of(rows[0]) if rows else None

    async def add(self, token: ApiToken, digest: str, entry: AuditEntry, most: int) -> bool:
        """Saves a new token, and adds that to the audit. False: the workspace has `most` valid ones, or more."""
        values = {
            "id": token.id,
            "workspace_id": token.workspace_id,
            "user_id": token.user_id,
            "name": token.name,
            "role": token.role.value,
            "prefix": token.prefix,
            "digest": digest,
            "now": token.created_at,
            "expires_at": token.expires_at,
            "made_by": token.made_by,
            "made_with": token.made_with,
            "most": most,
        }
        async with self._database.transaction() as connection:
            if await connection.execute(query("insert_token"), values) == 0:
                return False
            await write(connection, entry)
        return True

    async def list(
        self, workspace_id: str, limit: int = 100, after: tuple[datetime, str] | None = None
    ) -> list[ApiToken]:
        """Tokens of a workspace, newest first, revoked ones too. `after`: (created_at, id) of the last one before."""
        values: dict[str, Any] = {"workspace_id": workspace_id, "limit": limit}
        statement = "list_tokens"
        if after is not None:
            statement = "list_tokens_after"
            values["after_created_at"], values["after_id"] = after
        async with self._database.reading() as connection:
            return [token_of(row) for row in await connection.fetch_all(query(statement), values)]

    async def count(self, now: datetime) -> int:
        """How many tokens are valid, in all workspaces."""
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query("count_tokens"), {"now": now})
        return int(row["number"]) if row else 0

    async def permanent_admins(self, now: datetime) -> Sequence[ApiToken]:
        """Admin tokens that never expire, in all workspaces."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("permanent_admin_tokens"), {"now": now})
        return [token_of(row) for row in rows]

    async def revoke(self, workspace_id: str, token: str, now: datetime, entry: AuditEntry) -> int:
        """Revokes tokens by id or prefix, and adds each to the audit. Returns how many this call revoked."""
        async with self._database.transaction() as connection:
            values = {"workspace_id": workspace_id, "token": token, "now": now}
            revoked = await connection.fetch_all(query("revoke_token"), values)
            await write(connection, *(replace(entry, subject=row["id"], data=_audit_data(row)) for row in revoked))
        return len(revoked)

    async def people(self, workspace_id: str, now: datetime, limit: int = 100, after: str = "") -> Sequence[Person]:
        """People of a workspace, by name, beginning after a name. Raises `TooSlow`."""
        values = {"workspace_id": workspace_id, "now": now, "limit": limit, "after": after}
        rows = await self._database.scan(query("list_people"), values)
        roles = (None, *Role)
        return [
            Person(
                row["user_id"], int(row["tokens"]), int(row["prototypes"]), row["last_used_at"], roles[int(row["rank"])]
            )
            for row in rows
        ]

    async def revoke_access(self, workspace_id: str, user_id: str, now: datetime, entry: AuditEntry) -> tuple[int, int]:
        """Revokes the tokens of a person and ends their sessions. Returns (tokens, sessions)."""
        values = {"workspace_id": workspace_id, "user_id": user_id}
        async with self._database.transaction() as connection:
            sessions = await connection.execute(query("delete_sessions_of_person"), values)
            await connection.execute(query("delete_invitations_of_person"), values)
            tokens = await connection.execute(query("revoke_tokens_of_person"), {**values, "now": now})
            if sessions or tokens:
                await write(connection, replace(entry, data={"tokens": tokens, "sessions": sessions}))
        return tokens, sessions

    async def record_use(self, token_id: str, now: datetime, every: timedelta) -> None:
        """Records that a token was used, at most once per `every`."""
        async with self._database.transaction() as connection:
            await connection.execute(query("save_token_use"), {"id": token_id, "now": now, "before": now - every})


def _audit_data(row: Row) -> dict[str, str]:
    return {"prefix": row["prefix"], "whose": row["user_id"]}


def token_of(row: Row) -> ApiToken:
    """The token in a row of `protokeep_api_tokens`."""
    return ApiToken(
        id=row["id"],
        workspace_id=row["workspace_id"],
        user_id=row["user_id"],
        name=row["name"],
        role=Role(row["role"]),
        prefix=row["prefix"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
