"""Reads `GET /api/design/events` (Server-Sent Events) line by line. Does no I/O.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from protokeep.client.errors import NoAnswer
from protokeep.client.models import Change, Prototype

EVENTS_PATH = "/api/design/events"
#: A connection that is silent for longer is lost: the server sends a comment every few seconds.
SILENCE_SECONDS = 90.0
#: Connections lost in a row, without an event between them, before the stream counts as broken.
MAX_LOSSES = 8
#: The name of the event for a deleted prototype, and the state in its `Change`.
GONE = "gone"


class EventReader:
    """Reads the events of one subscriber, over any number of connections."""

    def __init__(self, product_ids: Sequence[str]) -> None:
        self._product_ids = frozenset(product_ids)
        self._last_event_id: str | None = None
        self._losses = 0
        self._event = ""
        self._id: str | None = None
        self._data: list[str] = []
        #: Whether changes may have been missed: at the beginning, and when the server no longer has them.
        self.may_have_missed = bool(product_ids)

    def params(self) -> Mapping[str, str]:
        """The query. The server filters by one product; of several, `read_line` drops the changes of others."""
        return {"product_id": next(iter(self._product_ids))} if len(self._product_ids) == 1 else {}

    def headers(self) -> Mapping[str, str]:
        """The headers of the next connection."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id is not None:
            headers["Last-Event-ID"] = self._last_event_id
        return headers

    def connection_lost(self) -> float:
        """Seconds to wait before the next connection. Raises `NoAnswer` after `MAX_LOSSES` losses in a row."""
        self._event, self._id, self._data = "", None, []
        self._losses += 1
        if self._losses > MAX_LOSSES:
            raise NoAnswer("The stream of events breaks again and again. Is `protokeep serve` running?")
        return float(min(0.5 * 2 ** (self._losses - 1), 10.0))

    def read_line(self, line: str) -> Change | None:
        """The change that this line completes; None if it completes none, or one of another product."""
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
            self.may_have_missed = bool(self._product_ids)
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
        return change if not self._product_ids or change.product_id in self._product_ids else None


def change_of(prototype: Prototype) -> Change:
    """The change that leads to this prototype."""
    return Change(id=prototype.id, product_id=prototype.product_id, state=prototype.state, data=prototype.raw)
