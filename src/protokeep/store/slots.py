"""The slots of products after their claims: a slot is passed on when its prototype is deleted, and given on request.

A slot says which prototype of a product is the current one. `store.claims` gives slots to new prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from protokeep.bus import Change
from protokeep.core.events import Event, Source
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.variants import successor_of
from protokeep.store.events import add_event
from protokeep.store.mapping import prototype_of
from protokeep.store.prototype_queries import PrototypeQueries
from protokeep.store.sql import Connection, LostRace, must_touch, query

#: Variants that are considered for the slot, newest first.
CANDIDATES = 50


async def free_slot(connection: Connection, mockup_id: str) -> None:
    """Frees the slot of a prototype: the next create for the product makes a new one, if nothing usable is left."""
    await connection.execute(query("free_slot"), {"mockup_id": mockup_id})


async def take_free_slot(connection: Connection, prototype: TrackedPrototype, now: datetime) -> None:
    """Gives the product's slot to a prototype, if no other one has it."""
    slot = {**_key_of(prototype, prototype.generation.workspace_id), "mockup_id": prototype.id, "now": now}
    await connection.execute(query("claim_slot"), slot)


async def take_slot(connection: Connection, prototype: TrackedPrototype, now: datetime) -> Sequence[Change]:
    """Gives the product's slot to a prototype by compare-and-set, whichever other one has it.

    Returns the change of the one that had it. Raises `LostRace` when the slot changes hands meanwhile.
    """
    workspace_id = prototype.generation.workspace_id
    key = _key_of(prototype, workspace_id)
    slot = {**key, "mockup_id": prototype.id, "now": now}
    holder = await connection.fetch_one(query("find_slot"), key)
    if holder is None:
        taken = await connection.execute(query("claim_slot"), slot)
    else:
        taken = await connection.execute(query("replace_slot"), {**slot, "expected": holder["mockup_id"]})
    if taken == 0:
        raise LostRace
    if holder is None or holder["mockup_id"] == prototype.id:
        return ()
    return [Change(workspace_id, prototype.product_id, holder["mockup_id"], "", "changed")]


async def pass_slot_on(
    connection: Connection, queries: PrototypeQueries, prototype: Prototype, now: datetime, workspace_id: str
) -> Sequence[Change]:
    """Takes the slot from a prototype that is deleted, and gives it to the newest one that is left and usable.

    Without a usable one, to the newest that is left: the product stays listed, and its next create makes a new one.
    Returns the change of the prototype that has the slot now. Raises `LostRace` when that changes meanwhile.
    """
    key = _key_of(prototype, workspace_id)
    holder = await connection.fetch_one(query("find_slot"), key)
    if holder is not None and holder["mockup_id"] == prototype.id:
        successor = await find_successor(connection, queries, prototype, workspace_id)
        # A row that nothing tracks needs no slot: its product is listed, and reused, without one.
        if isinstance(successor, TrackedPrototype):
            held = {"mockup_id": successor.id, "version": successor.generation.version}
            await must_touch(connection, query("hold_generation"), held)
            slot = {**key, "mockup_id": successor.id, "now": now, "expected": prototype.id}
            if await connection.execute(query("replace_slot"), slot) == 0:
                raise LostRace
            event = Event("succeeded", Source.SWEEP, now, data={"deleted": prototype.id})
            await add_event(connection, workspace_id, successor.product_id, successor.id, event)
            return [Change(workspace_id, successor.product_id, successor.id, "", "changed")]
    await free_slot(connection, prototype.id)
    return ()


async def find_successor(
    connection: Connection, queries: PrototypeQueries, prototype: Prototype, workspace_id: str
) -> Prototype | None:
    """The prototype that has the slot of a product after the deletion of the current one; None: nothing is left."""
    values = {**_key_of(prototype, workspace_id), "limit": CANDIDATES}
    rows = await connection.fetch_all(queries.listing(frozenset({"provider"})), values)
    return successor_of(prototype, [prototype_of(row) for row in rows])


def _key_of(prototype: Prototype, workspace_id: str) -> dict[str, str]:
    return {"workspace_id": workspace_id, "product_id": prototype.product_id, "provider": prototype.provider}
