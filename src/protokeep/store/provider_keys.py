"""Sealed keys as rows. What opens them is never here."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from protokeep.core.audit import AuditEntry
from protokeep.core.provider_keys import KeyOwner, SealedKey
from protokeep.store.audit import write
from protokeep.store.database import Database, Row, Session
from protokeep.store.prototype_queries import query


class KeyStore:
    """Reads and writes `protokeep_provider_keys`. Every change gives the whole of it a new version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> str:
        """Differs from before when any key was changed, by whichever process; empty: none ever was."""
        async with self._database.reading() as session:
            row = await session.row(query("provider_keys_version"))
        return "" if row is None else str(row["value"])

    async def all(self) -> list[SealedKey]:
        """The keys of every workspace, for jobs."""
        async with self._database.reading() as session:
            return [_sealed(row) for row in await session.rows(query("all_provider_keys"))]

    async def list(self, workspace_id: str) -> list[SealedKey]:
        """A workspace's keys and those of its people."""
        async with self._database.reading() as session:
            rows = await session.rows(query("list_provider_keys"), {"workspace_id": workspace_id})
        return [_sealed(row) for row in rows]

    async def save(self, sealed: SealedKey, entry: AuditEntry) -> None:
        """Write a key down, in the place of the one before; what waited for it goes on."""
        async with self._database.transaction() as session:
            await session.run(query("keep_provider_key"), _values(sealed))
            waking: dict[str, Any] = {"account": sealed.account, "now": sealed.set_at}
            await session.run(query("account_has_key"), {"account": sealed.account})
            await session.run(query("wake_keyless"), waking)
            await self._changed(session, entry)

    async def reseal(self, before: SealedKey, after: SealedKey, entry: AuditEntry) -> bool:
        """The same key under another master key; False: somebody set another one meanwhile."""
        async with self._database.transaction() as session:
            values = {**_values(after), "old_nonce": before.nonce}
            if await session.run(query("reseal_provider_key"), values) == 0:
                return False
            await self._changed(session, entry)
        return True

    async def remove(self, owner: KeyOwner, provider: str, entry: AuditEntry) -> bool:
        """Forget a key; False: there was none."""
        async with self._database.transaction() as session:
            if await session.run(query("remove_provider_key"), _key(owner, provider)) == 0:
                return False
            await self._changed(session, entry)
        return True

    async def newest_chat(self, account: str) -> tuple[str, int] | None:
        """The chat that was made last with an account, and its API version."""
        async with self._database.reading() as session:
            row = await session.row(query("newest_chat"), {"account": account})
        return None if row is None else (row["chat"], row["api_version"])

    async def _changed(self, session: Session, entry: AuditEntry) -> None:
        await session.run(query("provider_keys_changed"), {"value": uuid4().hex})
        await write(session, entry)


def _key(owner: KeyOwner, provider: str) -> dict[str, Any]:
    return {"workspace_id": owner.workspace_id, "user_id": owner.user_id, "provider": provider}


def _values(sealed: SealedKey) -> dict[str, Any]:
    return {
        **_key(sealed.owner, sealed.provider),
        "master_id": sealed.master_id,
        "nonce": sealed.nonce,
        "ciphertext": sealed.ciphertext,
        "hint": sealed.hint,
        "set_by": sealed.set_by,
        "set_at": sealed.set_at,
    }


def _sealed(row: Row) -> SealedKey:
    moment: datetime = row["set_at"]
    return SealedKey(
        owner=KeyOwner(row["workspace_id"], row["user_id"]),
        provider=row["provider"],
        master_id=row["master_id"],
        nonce=bytes(row["nonce"]),
        ciphertext=bytes(row["ciphertext"]),
        hint=row["hint"],
        set_by=row["set_by"],
        set_at=moment,
    )
