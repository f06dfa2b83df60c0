"""Chats of ours that no row knows: what a restored copy of the database has forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from protokeep.core.events import Event, Source
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.validation import user_id_for
from protokeep.store.claims import LostRace, event_part, line_of
from protokeep.store.database import Session
from protokeep.store.mapping import tracked_prototype_of
from protokeep.store.prototype_queries import PrototypeQueries, query
from protokeep.store.sql import Statement


@dataclass(frozen=True, slots=True)
class OrphanChat:
    """One such chat, as its marks and the builder describe it. Of one that is not `signed` only the marker counts."""

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
    signed: bool = True


async def adopt(session: Session, statements: PrototypeQueries, stray: OrphanChat, poll_timeout: timedelta) -> str:
    """Give the chat a row: the one its marker names, else a claim that waits for its product, else a new one.

    `known`, `recorded`, `surplus` or `adopted`; `was_deleted` for one whose prototype was deleted here, `unsigned` for
    one that nobody signed and no row names: those get none. A claim for which nothing was sent yet, made because the
    product seemed to have no prototype, takes the chat over instead of having a second one made. Raises `LostRace` when
    somebody else moved a row meanwhile.
    """
    if not session.is_sqlite:
        # Each statement sees what others have committed before it: a chat that is given to a claim between two of
        # them would be in no row yet for the first, and the claim would not wait any more for the second.
        await session.row(query("lock_stray"), {"line": line_of(f"stray:{stray.account}:{stray.chat_id}")})
    if await session.row(statements.by_chat, {"chat_id": stray.chat_id}) is not None:
        return "known"
    named = await session.row(query("mockup_of_marker"), {"marker": stray.marker})
    if named is not None:
        if named["account"] != stray.account:
            raise LookupError("its marker names a prototype of another account")
        return await _give(session, statements, stray, named["mockup_id"], poll_timeout)
    if await session.row(query("has_history"), {"mockup_id": stray.marker}) is not None:
        return "deleted"
    if not stray.signed:
        return "unsigned"
    key = {"workspace_id": stray.workspace_id, "product_id": stray.product_id, "provider": stray.provider}
    waiting = await session.row(query("waiting_claim"), {**key, "account": stray.account})
    if waiting is not None:
        return await _give(session, statements, stray, waiting["mockup_id"], poll_timeout)
    return await _insert(session, statements, stray, key, poll_timeout)


async def _give(
    session: Session, statements: PrototypeQueries, stray: OrphanChat, mockup_id: str, poll_timeout: timedelta
) -> str:
    row = await session.row(statements.get_any, {"mockup_id": mockup_id})
    if row is None:
        raise LostRace
    prototype = tracked_prototype_of(row)
    generation = prototype.generation
    if prototype.chat_id is not None or generation.submission.recovery_point is RecoveryPoint.SETTLED:
        surplus = {
            "account": stray.account,
            "chat_id": stray.chat_id,
            "mockup_id": mockup_id,
            "marker": stray.marker,
            "now": stray.now,
        }
        if await session.run(query("note_surplus"), surplus) > 0:
            await _note(session, prototype, stray, "surplus", None)
        return "surplus"
    given = {
        "mockup_id": mockup_id,
        "chat_id": stray.chat_id,
        "version": generation.version,
        "now": stray.now,
        "deadline_at": stray.now + poll_timeout,
    }
    await _must(session, query("give_chat_to_generation"), given)
    await _must(session, statements.give_chat_to_mockup, given)
    await _note(session, prototype, stray, "adopted", prototype.status.value)
    return "recorded"


async def _must(session: Session, statement: Statement, values: dict[str, Any]) -> None:
    """Write, or have everything undone: nothing is kept beside a guarded write that did not happen."""
    if await session.run(statement, values) == 0:
        raise LostRace


async def _insert(
    session: Session, statements: PrototypeQueries, stray: OrphanChat, key: dict[str, str], poll_timeout: timedelta
) -> str:
    mockup_id = stray.marker
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
    await _must(session, query("insert_generation"), generation)
    given = {"mockup_id": mockup_id, "chat_id": stray.chat_id, "now": stray.now}
    await _must(session, statements.give_chat_to_mockup, given)
    product = {
        "workspace_id": stray.workspace_id,
        "product_id": stray.product_id,
        "name": None,
        "now": stray.now,
    }
    await session.run(query("note_product"), product)
    event = Event("adopted", Source.SWEEP, stray.now, status="pending", data={"chat_id": stray.chat_id})
    await session.together([event_part(stray.workspace_id, stray.product_id, mockup_id, event)])
    return "adopted"


async def _note(
    session: Session, prototype: TrackedPrototype, stray: OrphanChat, kind: str, status: str | None
) -> None:
    """A line in the history of the prototype that the chat was given to, whatever the chat's own marks say."""
    event = Event(kind, Source.SWEEP, stray.now, status=status, data={"chat_id": stray.chat_id})
    workspace_id = prototype.generation.workspace_id
    await session.together([event_part(workspace_id, prototype.product_id, prototype.id, event)])
