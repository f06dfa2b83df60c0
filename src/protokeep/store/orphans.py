"""Orphans: chats of ours that no row has, because a restored copy of the database has forgotten them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protokeep.core.audit import ITSELF, Action, AuditEntry
from protokeep.core.events import Event, Source
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import NO_TIME, Status, TrackedPrototype
from protokeep.core.validation import user_id_for
from protokeep.store import audit
from protokeep.store.events import add_event
from protokeep.store.mapping import adopted_generation, tracked_prototype_of
from protokeep.store.prototype_queries import PrototypeQueries
from protokeep.store.prototypes import insert_prototype
from protokeep.store.sql import Connection, LostRace, must_touch, query


@dataclass(frozen=True, slots=True)
class OrphanChat:
    """A chat as its metadata, which this installation signed, and the provider describe it."""

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
    only_free_slot: bool = False  #: it never takes the place of another prototype, however old that is


async def adopt(connection: Connection, queries: PrototypeQueries, orphan: OrphanChat, poll_timeout: timedelta) -> str:
    """Gives a chat to the row that its marker names, else to a claim that waits for its product, else to a new row.

    A claim waits for its product's chat if nothing was sent for it, and if it was made because the product seemed to
    have no prototype. It takes the chat over, so that no second chat is created.

    Returns `known` (a row has the chat), `recorded` (a row was waiting for it), `surplus` (its row has another chat),
    `adopted` (it has a new row) or `deleted` (its prototype was deleted here, so it gets no row). The audit names what
    was given a chat. Raises `LostRace` when another transaction changed a row.
    """
    if not connection.is_sqlite:
        # Without the lock another process could give the chat to a claim between two statements. The first would find
        # no row with the chat, the second no waiting claim, and the chat would get a row of its own as well.
        await connection.execute(query("lock_orphan"), {"lock": lock_of_chat(orphan.account, orphan.chat_id)})
    if await connection.fetch_one(queries.by_chat, {"chat_id": orphan.chat_id}) is not None:
        return "known"
    named = await connection.fetch_one(query("find_generation_by_marker"), {"marker": orphan.marker})
    if named is not None:
        if named["account"] != orphan.account:
            raise LookupError("its marker names a prototype of another account")
        return await _attach(connection, queries, orphan, named["mockup_id"], poll_timeout)
    if await connection.fetch_one(query("has_events"), {"mockup_id": orphan.marker}) is not None:
        return "deleted"
    waiting = await connection.fetch_one(query("find_waiting_claim"), {**_key_of(orphan), "account": orphan.account})
    if waiting is not None:
        return await _attach(connection, queries, orphan, waiting["mockup_id"], poll_timeout)
    return await _insert(connection, queries, orphan, poll_timeout)


async def _attach(
    connection: Connection, queries: PrototypeQueries, orphan: OrphanChat, mockup_id: str, poll_timeout: timedelta
) -> str:
    """Gives the chat to a row that exists, or records it as surplus if the row has a chat or is settled."""
    row = await connection.fetch_one(queries.get_unscoped, {"mockup_id": mockup_id})
    if row is None:
        raise LostRace
    prototype = tracked_prototype_of(row)
    generation = prototype.generation
    if prototype.chat_id is not None or generation.submission.recovery_point is RecoveryPoint.SETTLED:
        await _save_surplus(connection, orphan, prototype)
        return "surplus"
    values = {
        "mockup_id": mockup_id,
        "chat_id": orphan.chat_id,
        "version": generation.version,
        "now": orphan.now,
        "updated_at": orphan.now,
        "deadline_at": orphan.now + poll_timeout,
    }
    await must_touch(connection, queries.attach_chat_to_mockup, values)  # First, as a save does.
    await must_touch(connection, query("attach_chat_to_generation"), values)
    await _add_event(connection, prototype, orphan, "adopted", prototype.status.value)
    await _add_to_audit(connection, prototype, orphan, "recorded")
    return "recorded"


async def _save_surplus(connection: Connection, orphan: OrphanChat, prototype: TrackedPrototype) -> None:
    values = {
        "account": orphan.account,
        "chat_id": orphan.chat_id,
        "mockup_id": prototype.id,
        "marker": orphan.marker,
        "now": orphan.now,
    }
    if await connection.execute(query("save_surplus_chat"), values) > 0:
        await _add_event(connection, prototype, orphan, "surplus", None)


async def _insert(
    connection: Connection, queries: PrototypeQueries, orphan: OrphanChat, poll_timeout: timedelta
) -> str:
    """Gives the chat a new row, which takes the slot unless that holds a younger prototype.

    Raises `LostRace` if a claim that waits for the chat was committed at this moment.
    """
    # The zero of some clocks, the year 1, is no time that PostgreSQL gives back as it was.
    orphan = replace(orphan, made_at=max(orphan.made_at, NO_TIME))
    prototype = _prototype_of(orphan, poll_timeout, must_be_uuid=queries.shape.user_is_uuid)
    slot = {**_key_of(orphan), "mockup_id": prototype.id, "now": orphan.now, "created_at": orphan.made_at}
    await connection.execute(query("claim_slot" if orphan.only_free_slot else "set_slot_if_newer"), slot)
    # PostgreSQL: that statement waits for a claim that is being committed, which was not to be seen before.
    if await connection.fetch_one(query("find_waiting_claim"), {**_key_of(orphan), "account": orphan.account}):
        raise LostRace
    if await insert_prototype(connection, queries, prototype) is None:
        raise LookupError(f"no product {orphan.product_id} to adopt a chat for")
    values = {"mockup_id": prototype.id, "chat_id": orphan.chat_id, "updated_at": orphan.now}
    await must_touch(connection, queries.attach_chat_to_mockup, values)
    await _add_event(connection, prototype, orphan, "adopted", prototype.status.value)
    await _add_to_audit(connection, prototype, orphan, "adopted")
    return "adopted"


def _prototype_of(orphan: OrphanChat, poll_timeout: timedelta, *, must_be_uuid: bool) -> TrackedPrototype:
    generation = adopted_generation(
        workspace_id=orphan.workspace_id,
        account=orphan.account,
        api_version=orphan.api_version,
        marker=orphan.marker,
        created_by=orphan.user_id,
        recovery_point=RecoveryPoint.ACCEPTED,
        created_at=orphan.made_at,
        next_poll_at=orphan.now,
        deadline_at=orphan.now + poll_timeout,
    )
    return TrackedPrototype(
        id=orphan.marker,
        product_id=orphan.product_id,
        user_id=user_id_for(orphan.user_id, must_be_uuid=must_be_uuid),
        provider=orphan.provider,
        prompt=orphan.prompt or "",
        status=Status.PENDING,
        created_at=orphan.made_at,
        updated_at=orphan.made_at,
        generation=generation,
    )


async def _add_event(
    connection: Connection, prototype: TrackedPrototype, orphan: OrphanChat, kind: str, status: str | None
) -> None:
    """Adds an event to the prototype that the chat was given to, whatever the chat's own metadata says."""
    event = Event(kind, Source.SWEEP, orphan.now, status=status, data={"chat_id": orphan.chat_id})
    workspace_id = prototype.generation.workspace_id
    await add_event(connection, workspace_id, prototype.product_id, prototype.id, event)


async def _add_to_audit(connection: Connection, prototype: TrackedPrototype, orphan: OrphanChat, outcome: str) -> None:
    """Adds that the prototype was given a chat, by nobody's request."""
    generation = prototype.generation
    data = {
        "product_id": prototype.product_id,
        "provider": prototype.provider,
        "outcome": outcome,
        "chat_id": orphan.chat_id,
        "user_id": generation.created_by,
        "account": generation.account,
    }
    entry = AuditEntry(generation.workspace_id, orphan.now, Action.ADOPTED, ITSELF, subject=prototype.id, data=data)
    await audit.write(connection, entry)


def _key_of(orphan: OrphanChat) -> dict[str, str]:
    return {"workspace_id": orphan.workspace_id, "product_id": orphan.product_id, "provider": orphan.provider}


def lock_of_chat(account: str, chat_id: str) -> int:
    """The lock of a chat that gets a row: PostgreSQL names advisory locks by 64 bits.

    Two chats with the same number only wait for each other.
    """
    name = f"orphan:{account}:{chat_id}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
