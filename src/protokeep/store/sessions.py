"""Page sessions as rows. Only digests; what the browser holds is never here."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from protokeep.core.audit import AuditEntry
from protokeep.core.principals import ApiToken, Principal, Role
from protokeep.store.audit import write
from protokeep.store.database import Database, Untouched, must_touch
from protokeep.store.prototype_queries import query
from protokeep.store.tokens import token_of


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that runs, whose it is, and the token it was opened with; None: the sign-in service named them."""

    principal: Principal
    token: ApiToken | None
    opened_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Opening:
    """A new session or code: of a token, or of somebody whom the sign-in service has named."""

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
        """Keep a new session or code, and drop what has run out."""
        who = opening.principal
        values = {
            "digest": opening.digest,
            "kind": opening.kind,
            "token_id": opening.token_id,
            "workspace_id": who.workspace_id if who else None,
            "user_id": who.user_id if who else None,
            "role": who.role.value if who else None,
            "now": opening.now,
            "expires_at": opening.expires_at,
        }
        async with self._database.transaction() as session:
            await session.run(query("forget_sessions"), {"now": opening.now})
            await session.run(query("open_session"), values)

    async def find(self, digest: str, now: datetime) -> OpenSession | None:
        """The session with this digest, if it still runs."""
        async with self._database.reading() as session:
            row = await session.row(query("find_session"), {"digest": digest, "now": now})
        if row is None:
            return None
        token = None if row["id"] is None else token_of(row)
        who = token.principal if token else Principal(row["own_workspace"], row["own_user"], Role(row["own_role"]), "")
        return OpenSession(who, token, row["opened_at"], row["session_expires_at"])

    async def renew(self, digest: str, expires_at: datetime) -> None:
        """Let a session run longer."""
        async with self._database.transaction() as session:
            await session.run(query("renew_session"), {"digest": digest, "expires_at": expires_at})

    async def consume_sign_in_code(self, digest: str, now: datetime) -> str | None:
        """The token that a code stands for, once; None: used, run out, or never given."""
        async with self._database.transaction() as session:
            row = await session.row(query("use_code"), {"digest": digest, "now": now})
        return None if row is None else str(row["token_id"])

    async def close(self, digest: str, entry: AuditEntry) -> None:
        """End one session, and write down that it was ended."""
        with contextlib.suppress(Untouched):
            async with self._database.transaction() as session:
                await must_touch(session, query("close_session"), {"digest": digest})
                await write(session, entry)

    async def close_all(self, workspace_id: str, user_id: str, entry: AuditEntry) -> int:
        """End every session of a person, and write down that they were ended; how many there were."""
        values = {"workspace_id": workspace_id, "user_id": user_id}
        async with self._database.transaction() as session:
            closed = await session.run(query("close_sessions_of_person"), values)
            if closed:
                await write(session, entry)
        return closed
