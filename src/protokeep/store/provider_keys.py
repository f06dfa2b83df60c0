"""Sealed provider keys as rows. The master key that opens them is never in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from protokeep.core.audit import AuditEntry
from protokeep.core.provider_keys import KeyOwner, SealedKey
from protokeep.store.audit import write
from protokeep.store.database import Database
from protokeep.store.sql import Connection, Row, query


class KeyStore:
    """Reads and writes `protokeep_provider_keys`. Every change gives all keys together a new version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> str:
        """The version of all keys. It differs when any process changed a key; empty: no key was ever set."""
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query("find_provider_keys_version"))
        return "" if row is None else str(row["value"])

    async def all(self) -> list[SealedKey]:
        """The keys of every workspace, for jobs."""
        async with self._database.reading() as connection:
            return [_sealed(row) for row in await connection.fetch_all(query("list_all_provider_keys"))]

    async def list(self, workspace_id: str) -> list[SealedKey]:
        """The keys of a workspace and of its people."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("list_provider_keys"), {"workspace_id": workspace_id})
        return [_sealed(row) for row in rows]

    async def save(self, sealed: SealedKey, entry: AuditEntry) -> None:
        """Saves a key, in place of the one before. Everything that waits for the account goes on."""
        async with self._database.transaction() as connection:
            await connection.execute(query("save_provider_key"), _values(sealed))
            await connection.execute(query("clear_account_holds"), {"account": sealed.account})
            resumed = {"account": sealed.account, "now": sealed.set_at}
            await connection.execute(query("resume_after_new_key"), resumed)
            await self._changed(connection, entry)

    async def reseal(self, before: SealedKey, after: SealedKey, entry: AuditEntry) -> bool:
        """Saves a key, sealed with another master key. False: the key was changed meanwhile."""
        async with self._database.transaction() as connection:
            values = {**_values(after), "old_nonce": before.nonce}
            if await connection.execute(query("reseal_provider_key"), values) == 0:
                return False
            await self._changed(connection, entry)
        return True

    async def remove(self, owner: KeyOwner, provider: str, entry: AuditEntry) -> bool:
        """Deletes a key. False: there was none."""
        async with self._database.transaction() as connection:
            if await connection.execute(query("delete_provider_key"), _key(owner, provider)) == 0:
                return False
            await self._changed(connection, entry)
        return True

    async def newest_chat(self, account: str) -> tuple[str, int] | None:
        """The newest chat of an account, and its API version. None: the account has no chat."""
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query("find_newest_chat"), {"account": account})
        return None if row is None else (row["chat"], row["api_version"])

    async def _changed(self, connection: Connection, entry: AuditEntry) -> None:
        await connection.execute(query("save_provider_keys_version"), {"value": uuid4().hex})
        await write(connection, entry)


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
