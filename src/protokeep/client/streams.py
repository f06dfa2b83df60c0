"""Reading `GET /api/design/events` (Server-Sent Events) line by line. Does no I/O itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from protokeep.client.errors import NoAnswer
from protokeep.client.models import Change, Prototype

PATH = "/api/design/events"
#: Servers send a comment now and then; silence for this long means that the connection is dead.
SILENCE_SECONDS = 90.0
#: Connections lost in a row, without an event between them, before it counts as an outage.
LOSSES = 8
#: The event, and the state of the change, that tells of a prototype which is no longer there.
GONE = "gone"


class Following:
    """One viewer of the stream: what it wants to hear of, and where it would go on after a lost connection."""

    def __init__(self, product_ids: Sequence[str]) -> None:
        self._wanted = frozenset(product_ids)
        self._last_event_id: str | None = None
        self._losses = 0
        self._event = ""
        self._id: str | None = None
        self._data: list[str] = []
        #: Whether changes may have been missed: at first, and when the server says that it has forgotten them.
        self.stale = bool(product_ids)

    def params(self) -> Mapping[str, str]:
        """The query: one product may be asked for; of several, the others' changes are passed over here."""
        return {"product_id": next(iter(self._wanted))} if len(self._wanted) == 1 else {}

    def headers(self) -> Mapping[str, str]:
        """The headers of the next connection."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id is not None:
            headers["Last-Event-ID"] = self._last_event_id
        return headers

    def lost(self) -> float:
        """The connection ended: seconds to wait before the next. Raises `NoAnswer` after many losses in a row."""
        self._event, self._id, self._data = "", None, []
        self._losses += 1
        if self._losses > LOSSES:
            raise NoAnswer("The stream of events breaks again and again. Is `protokeep serve` running?")
        return float(min(0.5 * 2 ** (self._losses - 1), 10.0))

    def line(self, line: str) -> Change | None:
        """The change that this line completes, if it does and it is wanted."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._event = value
            elif name == "data":
                self._data.append(value)
            elif name == "id" and "\0" not in value:
                self._id = value
            return None
        event, data, event_id = self._event, "\n".join(self._data), self._id
        self._event, self._id, self._data = "", None, []
        if event_id is not None:
            self._last_event_id = event_id
        self._losses = 0
        if event == "resync":
            self.stale = bool(self._wanted)
        return self._change(event, data, event_id) if event in ("change", "prototype", GONE) else None

    def _change(self, event: str, data: str, event_id: str | None) -> Change | None:
        try:
            value = json.loads(data)
            change = Change(
                id=str(value["id"]),
                product_id=str(value["product_id"]),
                state=GONE if event == GONE else str(value["state"]),
                event_id=event_id,
                data=value,
            )
        except (ValueError, KeyError, TypeError):
            return None
        return change if not self._wanted or change.product_id in self._wanted else None


def change_of(prototype: Prototype) -> Change:
    """A status that was asked for, told as a change."""
    return Change(id=prototype.id, product_id=prototype.product_id, state=prototype.state, data=prototype.raw)
