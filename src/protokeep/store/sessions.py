"""Page sessions as rows. Only digests; what the browser holds is never here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from protokeep.core.people import ApiToken
from protokeep.store.database import Database
from protokeep.store.statements import query
from protokeep.store.tokens import token_of


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that runs, and the token it was opened with."""

    token: ApiToken
    opened_at: datetime
    expires_at: datetime


class SessionStore:
    """Reads and writes `protokeep_sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self, digest: str, kind: Literal["session", "code"], token_id: str, now: datetime, expires_at: datetime
    ) -> None:
        """Keep a new session or code, and drop what has run out."""
        values = {"digest": digest, "kind": kind, "token_id": token_id, "now": now, "expires_at": expires_at}
        async with self._database.transaction() as session:
            await session.run(query("forget_sessions"), {"now": now})
            await session.run(query("open_session"), values)

    async def find(self, digest: str, now: datetime) -> OpenSession | None:
        """The session with this digest, if it still runs."""
        async with self._database.reading() as session:
            row = await session.row(query("find_session"), {"digest": digest, "now": now})
        return None if row is None else OpenSession(token_of(row), row["opened_at"], row["session_expires_at"])

    async def renew(self, digest: str, expires_at: datetime) -> None:
        """Let a session run longer."""
        async with self._database.transaction() as session:
            await session.run(query("renew_session"), {"digest": digest, "expires_at": expires_at})

    async def use_code(self, digest: str, now: datetime) -> str | None:
        """The token that a code stands for, once; None: used, run out, or never given."""
        async with self._database.transaction() as session:
            row = await session.row(query("use_code"), {"digest": digest, "now": now})
        return None if row is None else str(row["token_id"])

    async def close(self, digest: str) -> None:
        """End one session."""
        async with self._database.transaction() as session:
            await session.run(query("close_session"), {"digest": digest})

    async def close_all(self, workspace_id: str, user_id: str) -> int:
        """End every session of a person; how many there were."""
        values = {"workspace_id": workspace_id, "user_id": user_id}
        async with self._database.transaction() as session:
            return await session.run(query("close_sessions_of_person"), values)
