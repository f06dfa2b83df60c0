"""Variants of a product: which one is the current one, and what people call them.

Each change is one guarded write of the variant's row. The slot goes along with it, by compare-and-set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from protokeep.bus import Change
from protokeep.core import variants
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import NotFound, NotNow
from protokeep.core.events import Event, Source
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.validation import variant_name_of
from protokeep.service.context import Context
from protokeep.service.deletion import CHANGED_TOO_OFTEN, MAX_LOSSES
from protokeep.store.audit import write
from protokeep.store.slots import take_slot
from protokeep.store.sql import Connection

NOT_TRACKED = "It was made before protokeep and is not tracked, so it cannot have a name."
DELETED = "This prototype was deleted."

#: Writes a change of a prototype that was just read. None: another process changed the row.
Write = Callable[[TrackedPrototype], Awaitable[TrackedPrototype | None]]


class Variants:
    """Makes a variant the current one, and names it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def make_current(self, principal: Principal, prototype: Prototype) -> Prototype:
        """Make a prototype the current one of its product, which whoever asks for the product gets from now on.

        The one that was current stays, as a variant. One that is current already is returned as it is. Raises
        `NotNow` for one that cannot be current.
        """

        async def write_down(found: TrackedPrototype) -> TrackedPrototype | None:
            reason = variants.cannot_be_current_because(found)
            if reason is not None:
                raise NotNow(reason)
            return found if found.is_current else await self._make_current(principal, found)

        if not isinstance(prototype, TrackedPrototype) and not prototype.is_current:
            raise NotNow(variants.cannot_be_current_because(prototype) or CHANGED_TOO_OFTEN)
        return await self._changed(prototype, write_down)

    async def name(self, principal: Principal, prototype: Prototype, name: str | None) -> Prototype:
        """Give a variant a short name, or take it away (None, or an empty one). Raises `InvalidInput`, `NotNow`."""
        plain = variant_name_of(name)

        async def write_down(found: TrackedPrototype) -> TrackedPrototype | None:
            if found.generation.variant_name == plain:
                return found
            now = self._context.clock()
            event = Event("named", Source.PERSON, now, actor=principal.user_id, data={"name": plain} if plain else {})
            return await self._context.store.save(found, variants.named(found, plain), event)

        if not isinstance(prototype, TrackedPrototype):
            raise NotNow(NOT_TRACKED)
        return await self._changed(prototype, write_down)

    async def successor(self, principal: Principal, prototype: Prototype) -> Prototype | None:
        """Which variant becomes the current one if this one is deleted; None: nothing is left."""
        return await self._context.store.successor(principal.workspace_id, prototype)

    async def _changed(self, prototype: Prototype, write_down: Write) -> Prototype:
        """The prototype as `write_down` has written it, which is tried again when the row changes meanwhile."""
        current: Prototype | None = prototype
        for _ in range(MAX_LOSSES):
            if not isinstance(current, TrackedPrototype):
                break
            saved = await write_down(current)
            if saved is not None:
                return saved
            current = await self._context.store.get_unscoped(prototype.id)
        if current is None:
            raise NotFound(DELETED)
        if isinstance(current, TrackedPrototype):
            raise NotNow(CHANGED_TOO_OFTEN)
        return current

    async def _make_current(self, principal: Principal, prototype: TrackedPrototype) -> TrackedPrototype | None:
        now = self._context.clock()
        event = Event("made_current", Source.PERSON, now, actor=principal.user_id)
        entry = AuditEntry.of(principal, Action.MADE_CURRENT, now, prototype.id, product_id=prototype.product_id)

        async def take_slot_and_audit(connection: Connection) -> Sequence[Change]:
            told = await take_slot(connection, prototype, now)
            await write(connection, entry)
            return told

        after = variants.made_current(prototype)
        return await self._context.store.save(prototype, after, event, belongs=take_slot_and_audit)
