"""Adoption of chats that a census found: a chat becomes the prototype of a product, and is followed from then on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from protokeep.bus import Bus, Change
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.census import CensusChat
from protokeep.core.errors import ProductUnknown
from protokeep.core.events import Event, Source
from protokeep.core.generation import RecoveryPoint
from protokeep.core.principals import Principal
from protokeep.core.prototype import NO_TIME, Prototype, Status, TrackedPrototype
from protokeep.core.reuse import usable
from protokeep.core.validation import user_id_for
from protokeep.store import audit
from protokeep.store.changes import Changes, change_of
from protokeep.store.claims import find_current
from protokeep.store.events import add_event
from protokeep.store.mapping import adopted_generation
from protokeep.store.orphans import lock_of_chat
from protokeep.store.prototype_queries import PrototypeQueries
from protokeep.store.prototypes import Prototypes, insert_prototype
from protokeep.store.sql import Connection, LostRace, must_touch, query


@dataclass(frozen=True, slots=True)
class CensusAdoption:
    """A chat, and the product whose prototype it becomes. `may_take_slot`: if the product has no prototype to use."""

    principal: Principal
    chat: CensusChat
    account: str
    provider: str
    product_id: str
    product_name: str | None
    prompt: str
    may_take_slot: bool
    now: datetime

    @property
    def slot(self) -> dict[str, str]:
        """The key of the product's slot."""
        return {
            "workspace_id": self.principal.workspace_id,
            "product_id": self.product_id,
            "provider": self.provider,
        }

    @property
    def surplus(self) -> dict[str, str]:
        """The key of a record that says that the chat is a second one, and whose workspace asks."""
        return {
            "account": self.account,
            "chat_id": self.chat.chat_id,
            "workspace_id": self.principal.workspace_id,
        }


@dataclass(frozen=True, slots=True)
class AdoptedChat:
    """What became of a chat: `adopted`, `known` (it is this product's already), `taken` (another product has it).

    `mockup_id` is the prototype; None: it is not this workspace's. `is_current`: it is in the product's slot.
    """

    chat_id: str
    outcome: str
    mockup_id: str | None = None
    is_current: bool = False


class CensusAdoptions:
    """Gives rows to chats, each in a transaction of its own."""

    def __init__(self, prototypes: Prototypes, bus: Bus) -> None:
        self._prototypes = prototypes
        self._changes = Changes(bus)

    async def adopt(self, adoption: CensusAdoption, poll_timeout: timedelta) -> AdoptedChat:
        """Gives the chat a row, unless one has it. Raises `ProductUnknown`, and `LostRace` when rows moved."""
        queries = await self._prototypes.prepared()
        async with self._prototypes.database.transaction() as connection:
            if not connection.is_sqlite:
                # As for orphans: one transaction at a time decides which row a chat belongs to.
                lock = {"lock": lock_of_chat(adoption.account, adoption.chat.chat_id)}
                await connection.execute(query("lock_orphan"), lock)
            rows = await connection.fetch_all(queries.by_chat, {"chat_id": adoption.chat.chat_id})
            if rows:
                return await _of_rows(connection, queries, adoption, [row["id"] for row in rows])
            if await connection.fetch_one(query("is_others_surplus"), adoption.surplus) is not None:
                return AdoptedChat(adoption.chat.chat_id, "taken")
            adopted, changes = await _insert(connection, queries, adoption, poll_timeout)
            for change in changes:
                self._changes.notify(connection, change)
        for change in changes:
            self._changes.publish(change)
        return adopted


async def _of_rows(
    connection: Connection, queries: PrototypeQueries, adoption: CensusAdoption, mockup_ids: list[str]
) -> AdoptedChat:
    """The answer for a chat that rows have."""
    chat_id = adoption.chat.chat_id
    for mockup_id in mockup_ids:
        values = {"workspace_id": adoption.principal.workspace_id, "mockup_id": mockup_id}
        row = await connection.fetch_one(queries.get, values)
        if row is not None and row["product_id"] == adoption.product_id:
            return AdoptedChat(chat_id, "known", mockup_id, row["current_id"] is not None)
    return AdoptedChat(chat_id, "taken")


async def _insert(
    connection: Connection, queries: PrototypeQueries, adoption: CensusAdoption, poll_timeout: timedelta
) -> tuple[AdoptedChat, list[Change]]:
    prototype = _prototype_of(adoption, poll_timeout, must_be_uuid=queries.shape.user_is_uuid)
    changes = [change_of(prototype, "changed")]
    current = await find_current(connection, queries, adoption.slot)
    takes_slot = adoption.may_take_slot and (current is None or not usable(current))
    if takes_slot:
        await _take_slot(connection, adoption, prototype.id, current)
        if current is not None:
            account = current.generation.account if current.generation else adoption.account
            workspace_id = adoption.principal.workspace_id
            changes.append(Change(workspace_id, current.product_id, current.id, account, "changed"))
    if not await insert_prototype(connection, queries, prototype, name=adoption.product_name):
        raise ProductUnknown(
            f"There is no product {adoption.product_id} in this database's products. Create the product first.",
            field="product_id",
        )
    values = {"mockup_id": prototype.id, "chat_id": adoption.chat.chat_id, "updated_at": adoption.now}
    await must_touch(connection, queries.attach_chat_to_mockup, values)
    await connection.execute(query("delete_surplus_chat"), adoption.surplus)
    await _tell(connection, adoption, prototype, in_slot=takes_slot)
    return AdoptedChat(adoption.chat.chat_id, "adopted", prototype.id, takes_slot), changes


async def _take_slot(
    connection: Connection, adoption: CensusAdoption, mockup_id: str, current: Prototype | None
) -> None:
    """Takes the slot as a create would: a free one, or that of a prototype that cannot be used. Raises `LostRace`."""
    slot = {**adoption.slot, "mockup_id": mockup_id, "now": adoption.now}
    if current is not None and current.is_current:
        taken = await connection.execute(query("replace_slot"), {**slot, "expected": current.id})
    else:
        taken = await connection.execute(query("claim_slot"), slot)
    if taken == 0:
        raise LostRace


async def _tell(
    connection: Connection, adoption: CensusAdoption, prototype: TrackedPrototype, *, in_slot: bool
) -> None:
    """Adds to the prototype's history and to the audit whose decision it was."""
    principal, chat_id = adoption.principal, adoption.chat.chat_id
    event = Event(
        "adopted",
        Source.PERSON,
        adoption.now,
        actor=principal.user_id,
        status=prototype.status.value,
        data={"chat_id": chat_id, "by_census": True},
    )
    await add_event(connection, principal.workspace_id, prototype.product_id, prototype.id, event)
    entry = AuditEntry.of(
        principal,
        Action.ADOPTED,
        adoption.now,
        prototype.id,
        product_id=prototype.product_id,
        provider=prototype.provider,
        outcome="current" if in_slot else "variant",
        chat_id=chat_id,
        account=adoption.account,
    )
    await audit.write(connection, entry)


def _prototype_of(adoption: CensusAdoption, poll_timeout: timedelta, *, must_be_uuid: bool) -> TrackedPrototype:
    """The prototype of a chat that exists already: nothing is sent for it, and it is polled at once."""
    now, user_id = adoption.now, adoption.principal.user_id
    mockup_id = str(uuid4())
    # The zero of some clocks, the year 1, is no time that PostgreSQL gives back as it was.
    made_at = max(min(adoption.chat.created_at or now, now), NO_TIME)
    generation = adopted_generation(
        workspace_id=adoption.principal.workspace_id,
        account=adoption.account,
        api_version=adoption.chat.api_version,
        marker=mockup_id,
        created_by=user_id,
        recovery_point=RecoveryPoint.ACCEPTED,
        created_at=made_at,
        next_poll_at=now,
        deadline_at=now + poll_timeout,
    )
    return TrackedPrototype(
        id=mockup_id,
        product_id=adoption.product_id,
        user_id=user_id_for(user_id, must_be_uuid=must_be_uuid),
        provider=adoption.provider,
        prompt=adoption.prompt,
        status=Status.PENDING,
        created_at=made_at,
        updated_at=now,
        generation=generation,
    )
