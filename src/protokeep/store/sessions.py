"""Page sessions as rows. Only the digest of a session's secret is stored."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from protokeep.core.audit import AuditEntry
from protokeep.core.principals import ApiToken, Principal, Role
from protokeep.store.audit import write
from protokeep.store.database import Database
from protokeep.store.sql import LostRace, must_touch, query
from protokeep.store.tokens import token_of


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session, its person, and the token that opened it; None: the sign-in service named the person."""

    principal: Principal
    token: ApiToken | None
    opened_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Opening:
    """A new session or sign-in code: of a token, or of a person whom the sign-in service has named."""

    digest: str
    kind: Literal["session", "code"]
    now: datetime
    expires_at: datetime
    token_id: str | None
    principal: Principal | None = None


class SessionStore:
    """Reads and writes `protokeep_sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, opening: Opening) -> None:
        """Saves a new session or sign-in code, and deletes those that have expired."""
        principal = opening.principal
        values = {
            "digest": opening.digest,
            "kind": opening.kind,
            "token_id": opening.token_id,
            "workspace_id": principal.workspace_id if principal else None,
            "user_id": principal.user_id if principal else None,
            "role": principal.role.value if principal else None,
            "now": opening.now,
            "expires_at": opening.expires_at,
        }
        async with self._database.transaction() as connection:
            await connection.execute(query("delete_expired_sessions"), {"now": opening.now})
            await connection.execute(query("insert_session"), values)

    async def find(self, digest: str, now: datetime) -> OpenSession | None:
        """The session with a digest, unless it has expired."""
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query("find_session"), {"digest": digest, "now": now})
        if row is None:
            return None
        token = None if row["id"] is None else token_of(row)
        principal = (
            token.principal if token else Principal(row["own_workspace"], row["own_user"], Role(row["own_role"]), "")
        )
        return OpenSession(principal, token, row["opened_at"], row["session_expires_at"])

    async def renew(self, digest: str, expires_at: datetime) -> None:
        """Extends a session."""
        async with self._database.transaction() as connection:
            await connection.execute(query("renew_session"), {"digest": digest, "expires_at": expires_at})

    async def consume_sign_in_code(self, digest: str, now: datetime) -> str | None:
        """The token that a sign-in code stands for. None: the code was used, has expired, or never existed."""
        async with self._database.transaction() as connection:
            row = await connection.fetch_one(query("consume_sign_in_code"), {"digest": digest, "now": now})
        return None if row is None else str(row["token_id"])

    async def close(self, digest: str, entry: AuditEntry) -> None:
        """Ends a session, and adds that to the audit."""
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                await must_touch(connection, query("delete_session"), {"digest": digest})
                await write(connection, entry)

    async def close_all(self, workspace_id: str, user_id: str, entry: AuditEntry) -> int:
        """Ends every session of a person, and adds that to the audit. Returns their number."""
        values = {"workspace_id": workspace_id, "user_id": user_id}
        async with self._database.transaction() as connection:
            closed = await connection.execute(query("delete_sessions_of_person"), values)
            if closed:
                await write(connection, entry)
        return closed
