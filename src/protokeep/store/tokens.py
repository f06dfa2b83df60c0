"""API tokens as rows. Only digests; the token itself is never here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from protokeep.core.audit import AuditEntry
from protokeep.core.principals import ApiToken, Person, Role
from protokeep.store.audit import write
from protokeep.store.database import Database, Row
from protokeep.store.prototype_queries import query


class TokenStore:
    """Reads and writes `protokeep_api_tokens`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digest: str) -> ApiToken | None:
        """The token with this digest, whatever its state."""
        rows = await self._database.keyed(query("find_token"), {"digest": digest})
        return token_of(rows[0]) if rows else None

    async def add(self, token: ApiToken, digest: str, entry: AuditEntry) -> None:
        """Keep a new token, and write down that it was made."""
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
        }
        async with self._database.transaction() as session:
            await session.run(query("insert_token"), values)
            await write(session, entry)

    async def list(self, workspace_id: str) -> list[ApiToken]:
        """All tokens of a workspace, newest first, revoked ones too."""
        async with self._database.reading() as session:
            rows = await session.rows(query("list_tokens"), {"workspace_id": workspace_id})
        return [token_of(row) for row in rows]

    async def count(self, now: datetime) -> int:
        """How many tokens let somebody in, in all workspaces."""
        async with self._database.reading() as session:
            row = await session.row(query("count_tokens"), {"now": now})
        return int(row["number"]) if row else 0

    async def permanent_admins(self, now: datetime) -> Sequence[ApiToken]:
        """Admin tokens that never expire, in all workspaces."""
        async with self._database.reading() as session:
            rows = await session.rows(query("admins_for_ever"), {"now": now})
        return [token_of(row) for row in rows]

    async def revoke(self, workspace_id: str, token: str, now: datetime, entry: AuditEntry) -> int:
        """Revoke by id or prefix, and write each down; how many were revoked by this call."""
        async with self._database.transaction() as session:
            values = {"workspace_id": workspace_id, "token": token, "now": now}
            revoked = await session.rows(query("revoke_token"), values)
            await write(session, *(replace(entry, subject=row["id"], data=_told(row)) for row in revoked))
        return len(revoked)

    async def people(self, workspace_id: str, now: datetime) -> Sequence[Person]:
        """Everybody of a workspace, by name."""
        async with self._database.reading() as session:
            rows = await session.rows(query("list_people"), {"workspace_id": workspace_id, "now": now})
        return [Person(row["user_id"], int(row["tokens"]), int(row["prototypes"]), row["last_used_at"]) for row in rows]

    async def revoke_access(self, workspace_id: str, user_id: str, now: datetime, entry: AuditEntry) -> tuple[int, int]:
        """Revoke a person's tokens and end their sessions; how many of each there were."""
        values = {"workspace_id": workspace_id, "user_id": user_id}
        async with self._database.transaction() as session:
            sessions = await session.run(query("close_sessions_of_person"), values)
            tokens = await session.run(query("revoke_tokens_of_person"), {**values, "now": now})
            if sessions or tokens:
                await write(session, replace(entry, data={"tokens": tokens, "sessions": sessions}))
        return tokens, sessions

    async def used(self, token_id: str, now: datetime, every: timedelta) -> None:
        """Note that a token was used, at most once per `every`."""
        async with self._database.transaction() as session:
            await session.run(query("token_used"), {"id": token_id, "now": now, "before": now - every})


def _told(row: Row) -> dict[str, str]:
    return {"prefix": row["prefix"], "whose": row["user_id"]}


def token_of(row: Row) -> ApiToken:
    """A row of the tokens table."""
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
