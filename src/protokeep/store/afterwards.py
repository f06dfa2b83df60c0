"""What follows a prototype's end: pictures, deletion; and the hooks that announce it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protokeep.core.create_request import IdempotentRequest
from protokeep.core.errors import KeyReused
from protokeep.core.events import Event
from protokeep.core.prototype import TrackedPrototype
from protokeep.store.claims import LostRace, event_part
from protokeep.store.database import Database, Row, Session, Untouched, must_touch
from protokeep.store.prototype_queries import query


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is kept and served."""

    content_type: str
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook of ours at a builder. The nonces make its address, with our secret key. `hook` "": not registered yet."""

    account: str
    api_version: int
    hook: str
    nonce: str
    installed_at: datetime
    old_nonce: str | None = None


class Afterwards:
    """Pictures, deletions, hooks, and keys of follow-ups. One statement or one short transaction each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def picture(self, mockup_id: str) -> Picture | None:
        """The picture that is kept of a prototype."""
        async with self._database.reading() as session:
            row = await session.row(query("find_picture"), {"mockup_id": mockup_id})
        return None if row is None else Picture(row["content_type"], bytes(row["body"]), row["etag"])

    async def claim_for_finalizing(self, now: datetime, later: datetime, limit: int) -> list[str]:
        """Finished prototypes whose wrap-up is due; nobody else gets them before `later`."""
        async with self._database.reading() as session:  # Most often there are none: no write lock for that.
            if await session.row(query("next_wrap_up"), {"now": now}) is None:
                return []
        rows = await self._rows("take_wrap_up", now=now, later=later, limit=limit)
        return [row["mockup_id"] for row in rows]

    async def was_deleted(self, workspace_id: str, mockup_id: str) -> bool:
        """Whether this workspace had such a prototype and deleted it."""
        async with self._database.reading() as session:
            values = {"workspace_id": workspace_id, "mockup_id": mockup_id}
            return await session.row(query("was_deleted"), values) is not None

    async def delete_prototype(self, prototype: TrackedPrototype, event: Event) -> bool:
        """Delete a prototype's row for good; False: it was gone. Its history stays, with `event` at the end."""
        generation = prototype.generation
        try:
            async with self._database.transaction() as session:
                await must_touch(session, query("delete_mockup"), {"mockup_id": prototype.id})
                await session.run(query("forget_surplus"), {"mockup_id": prototype.id})
                await session.together([event_part(generation.workspace_id, prototype.product_id, prototype.id, event)])
        except Untouched:
            return False
        return True

    async def hooks(self) -> list[Hook]:
        """The hooks that we registered."""
        async with self._database.reading() as session:
            return [Hook(**row) for row in await session.rows(query("list_hooks"))]

    async def save_hook(self, hook: Hook) -> None:
        """Write a hook down."""
        values = {
            "account": hook.account,
            "api_version": hook.api_version,
            "hook": hook.hook,
            "nonce": hook.nonce,
            "old_nonce": hook.old_nonce,
            "now": hook.installed_at,
        }
        await self._rows("keep_hook", returning=False, **values)

    async def claim_hook(self, hook: Hook, seen: datetime | None) -> bool:
        """Whether this process may register a hook now; `seen`: since when the one there is (None: there is none)."""
        values = {
            "account": hook.account,
            "api_version": hook.api_version,
            "nonce": hook.nonce,
            "now": hook.installed_at,
            "seen": seen,
        }
        async with self._database.transaction() as session:
            return bool(await session.rows(query("claim_hook"), values))

    async def delete_hook(self, account: str, api_version: int) -> None:
        """It is no longer registered."""
        await self._rows("forget_hook", returning=False, account=account, api_version=api_version)

    async def prototype_of_request(self, intent: IdempotentRequest) -> str | None:
        """What an intent's key was used for before; None: never. Raises `KeyReused` for another request."""
        async with self._database.reading() as session:
            return await _used_for(session, intent)

    async def _rows(self, name: str, *, returning: bool = True, **values: Any) -> list[Row]:
        async with self._database.transaction() as session:
            if returning:
                return await session.rows(query(name), values)
            await session.run(query(name), values)
            return []


async def free_slot(session: Session, mockup_id: str) -> None:
    """The next create for the product makes a new one."""
    await session.run(query("free_slot"), {"mockup_id": mockup_id})


async def save_picture(session: Session, mockup_id: str, picture: Picture, now: datetime) -> None:
    """Keep the newest picture of a prototype."""
    values = {
        "mockup_id": mockup_id,
        "content_type": picture.content_type,
        "body": picture.body,
        "etag": picture.etag,
        "now": now,
    }
    await session.run(query("keep_picture"), values)


async def save_request(session: Session, intent: IdempotentRequest, mockup_id: str) -> None:
    """One key names one intent. Raises `LostRace` when a request with the same key was first."""
    values = {**_key_of(intent), "fingerprint": intent.fingerprint, "mockup_id": mockup_id, "now": intent.now}
    if await session.row(query("keep_idempotency_key"), values) is None:
        raise LostRace


async def _used_for(session: Session, intent: IdempotentRequest) -> str | None:
    row = await session.row(query("find_idempotency_key"), _key_of(intent))
    if row is None:
        return None
    if row["fingerprint"] != intent.fingerprint:
        raise KeyReused(
            "This Idempotency-Key was used for another request. Send a new key, or repeat the first request exactly.",
            field="Idempotency-Key",
        )
    return str(row["mockup_id"])


def _key_of(intent: IdempotentRequest) -> dict[str, str]:
    return {"workspace_id": intent.workspace_id, "actor": intent.actor, "key": intent.key}
