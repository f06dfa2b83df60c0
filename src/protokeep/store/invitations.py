"""Invitations as rows. Only the digest of what a link carries is stored."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from protokeep.core.audit import AuditEntry
from protokeep.core.principals import Role
from protokeep.core.search_text import folded
from protokeep.store.audit import write
from protokeep.store.database import Database
from protokeep.store.sql import LostRace, Row, must_touch, query


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that lets somebody into a workspace once. `user_id` None: whoever accepts it says who they are."""

    digest: str
    workspace_id: str
    role: Role
    user_id: str | None
    invited_by: str
    created_at: datetime
    expires_at: datetime
    invited_with: str | None = None  #: the id of the token of who made it; None: they used none


class InvitationStore:
    """Reads and writes `protokeep_invitations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, invitation: Invitation, *entries: AuditEntry, most: int | None = None) -> bool:
        """Saves an invitation, adds entries to the audit, and deletes invitations that have expired.

        False: the workspace has `most` open ones, or more.
        """
        values = {
            "digest": invitation.digest,
            "workspace_id": invitation.workspace_id,
            "role": invitation.role.value,
            "user_id": invitation.user_id,
            "invited_by": invitation.invited_by,
            "now": invitation.created_at,
            "expires_at": invitation.expires_at,
            "invited_with": invitation.invited_with,
            "most": sys.maxsize if most is None else most,
        }
        async with self._database.transaction() as connection:
            await connection.execute(query("delete_expired_invitations"), {"now": invitation.created_at})
            if await connection.execute(query("insert_invitation"), values) == 0:
                return False
            await write(connection, *entries)
        return True

    async def find(self, digest: str, now: datetime) -> Invitation | None:
        """The invitation with a digest. None: it was accepted or taken back, has expired, or was never there."""
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query("find_invitation"), {"digest": digest, "now": now})
        return None if row is None else _invitation_of(row)

    async def consume(self, digest: str, now: datetime) -> bool:
        """Uses up an invitation. False: somebody was first, or it has expired."""
        async with self._database.transaction() as connection:
            return await connection.execute(query("consume_invitation"), {"digest": digest, "now": now}) > 0

    async def list(self, workspace_id: str, now: datetime) -> Sequence[Invitation]:
        """The open invitations of a workspace, newest first."""
        values = {"workspace_id": workspace_id, "now": now}
        async with self._database.reading() as connection:
            return [_invitation_of(row) for row in await connection.fetch_all(query("list_invitations"), values)]

    async def take_back(self, workspace_id: str, digest: str, entry: AuditEntry) -> bool:
        """Deletes an invitation, and adds that to the audit. False: there is no such one any more."""
        values = {"workspace_id": workspace_id, "digest": digest}
        try:
            async with self._database.transaction() as connection:
                await must_touch(connection, query("delete_invitation"), values)
                await write(connection, entry)
        except LostRace:
            return False
        return True

    async def has_person(self, workspace_id: str, user_id: str) -> bool:
        """Whether somebody in the workspace has this name, in capital letters or not. Raises `TooSlow`.

        The names are compared here: SQLite, and PostgreSQL with some locales, know the capitals of ASCII only.
        """
        rows = await self._database.scan(query("list_names"), {"workspace_id": workspace_id})
        wanted = folded(user_id)
        return any(folded(row["user_id"]) == wanted for row in rows if row["user_id"])


def _invitation_of(row: Row) -> Invitation:
    return Invitation(
        digest=row["digest"],
        workspace_id=row["workspace_id"],
        role=Role(row["role"]),
        user_id=row["user_id"],
        invited_by=row["invited_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        invited_with=row["invited_with"],
    )
