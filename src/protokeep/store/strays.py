"""Chats of ours that no row knows: what a restored copy of the database has forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from protokeep.core.history import Event, Source
from protokeep.core.inputs import user_id_for
from protokeep.core.prototype import RecoveryPoint
from protokeep.store.claims import event_part
from protokeep.store.database import Session
from protokeep.store.rows import prototype_of
from protokeep.store.statements import Statements, query


@dataclass(frozen=True, slots=True)
class Stray:
    """One such chat, as its marks and the builder describe it."""

    chat_id: str
    marker: str
    workspace_id: str
    product_id: str
    user_id: str
    provider: str
    account: str
    api_version: int
    prompt: str | None
    made_at: datetime
    now: datetime


async def adopt(session: Session, statements: Statements, stray: Stray, poll_timeout: timedelta) -> str:
    """Give the chat a row: the one its marker names, else a claim that waits for its product, else a new one.

    `known`, `recorded`, `surplus` or `adopted`. A claim for which nothing was sent yet, made because the product
    seemed to have no prototype, takes the chat over instead of having a second one made.
    """
    if await session.row(statements.by_chat, {"chat_id": stray.chat_id}) is not None:
        return "known"
    named = await session.row(query("mockup_of_marker"), {"marker": stray.marker})
    if named is not None:
        if named["account"] != stray.account:
            raise LookupError("its marker names a prototype of another account")
        return await _give(session, statements, stray, named["mockup_id"], poll_timeout)
    key = {"workspace_id": stray.workspace_id, "product_id": stray.product_id, "provider": stray.provider}
    waiting = await session.row(query("waiting_claim"), {**key, "account": stray.account})
    if waiting is not None:
        return await _give(session, statements, stray, waiting["mockup_id"], poll_timeout)
    return await _insert(session, statements, stray, key, poll_timeout)


async def _give(session: Session, statements: Statements, stray: Stray, mockup_id: str, poll_timeout: timedelta) -> str:
    row = await session.row(statements.get_any, {"mockup_id": mockup_id})
    if row is None:
        return "known"
    prototype = prototype_of(row)
    if prototype.chat_id is not None or prototype.generation is None:
        surplus = {
            "account": stray.account,
            "chat_id": stray.chat_id,
            "mockup_id": mockup_id,
            "marker": stray.marker,
            "now": stray.now,
        }
        if await session.run(query("note_surplus"), surplus) > 0:
            await _note(session, stray, mockup_id, "surplus", None)
        return "surplus"
    given = {
        "mockup_id": mockup_id,
        "chat_id": stray.chat_id,
        "now": stray.now,
        "deadline_at": stray.now + poll_timeout,
    }
    await session.run(query("give_chat_to_generation"), given)
    await session.run(statements.give_chat_to_mockup, given)
    await _note(session, stray, mockup_id, "adopted", prototype.status.value)
    return "recorded"


async def _insert(
    session: Session, statements: Statements, stray: Stray, key: dict[str, str], poll_timeout: timedelta
) -> str:
    mockup_id = str(UUID(stray.marker))
    slot = {**key, "mockup_id": mockup_id, "now": stray.now, "made_at": stray.made_at}
    await session.row(query("put_newest_in_slot"), slot)
    inserted = await session.run(
        statements.insert_mockup,
        {
            "id": mockup_id,
            "product_id": stray.product_id,
            "user_id": user_id_for(stray.user_id, must_be_uuid=statements.shape.user_is_uuid),
            "provider": stray.provider,
            "prompt": stray.prompt or "",
            "now": stray.made_at,
        },
    )
    if inserted == 0:
        raise LookupError(f"no product {stray.product_id} to adopt a chat for")
    generation = {
        "mockup_id": mockup_id,
        "workspace_id": stray.workspace_id,
        "provider": stray.provider,
        "account": stray.account,
        "api_version": stray.api_version,
        "marker": stray.marker,
        "created_by": stray.user_id,
        "recovery_point": RecoveryPoint.ACCEPTED.value,
        "next_try_at": None,
        "next_poll_at": stray.now,
        "deadline_at": stray.now + poll_timeout,
        "fence": 0,
        "lease_until": None,
        "now": stray.made_at,
    }
    await session.run(query("insert_generation"), generation)
    given = {"mockup_id": mockup_id, "chat_id": stray.chat_id, "now": stray.now}
    await session.run(statements.give_chat_to_mockup, given)
    product = {
        "workspace_id": stray.workspace_id,
        "product_id": stray.product_id,
        "name": None,
        "now": stray.now,
    }
    await session.run(query("note_product"), product)
    await _note(session, stray, mockup_id, "adopted", "pending")
    return "adopted"


async def _note(session: Session, stray: Stray, mockup_id: str, kind: str, status: str | None) -> None:
    event = Event(kind, Source.SWEEP, stray.now, status=status, data={"chat_id": stray.chat_id})
    await session.together([event_part(stray.workspace_id, stray.product_id, mockup_id, event)])
