"""Changes: notifications that a prototype was written, for the waiters, streams and jobs of all processes."""

from __future__ import annotations

from collections.abc import Sequence

from protokeep.bus import Bus, Change, ChangeKind
from protokeep.core.events import Event
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.visible_fields import visible_version
from protokeep.store.sql import Connection

#: Kinds of events that change nothing on a page; another event follows them soon.
QUIET_EVENTS = {"sent"}


class Changes:
    """Sends changes to the other processes and to this one, after the commit of their transaction."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def notify(self, connection: Connection, change: Change) -> None:
        """Lets the other processes hear of a change once the transaction is committed. Beside SQLite there are none."""
        connection.after_commit(lambda: self._bus.tell(change, connection.new_events))

    def publish(self, change: Change) -> None:
        """Lets this process hear of a change that was committed."""
        self._bus.publish(change)


def change_of(prototype: TrackedPrototype, kind: ChangeKind) -> Change:
    """A change of a prototype; `kind` says what happened."""
    generation = prototype.generation
    return Change(generation.workspace_id, prototype.product_id, prototype.id, generation.account, kind)


def is_visible_change(before: Prototype, after: Prototype, events: Sequence[Event]) -> bool:
    """Whether viewers have to hear of a change: it has an event, or it changes the prototype's visible fields."""
    if any(event.kind not in QUIET_EVENTS for event in events):
        return True
    return visible_version(before) != visible_version(after)
