"""Tells waiters and streams that a prototype changed, in this process and, on PostgreSQL, in all others.

A change names a prototype and carries no content: subscribers read the row. A lost change therefore delays what
people see, and never falsifies it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from uuid import uuid4

import structlog

log = structlog.get_logger(__name__)

CHANNEL = "protokeep_changes"
#: Changes a slow subscriber may lag behind before it loses the oldest.
QUEUE_SIZE = 256
#: The longest payload that PostgreSQL takes. JSON is ASCII here, so that characters are bytes.
PAYLOAD_BYTES = 7999
#: Changes that wait to be told to other processes, while these cannot be reached. Older ones are found in the table.
UNTOLD_SIZE = 10_000
#: A connection counts as lost when three probes, 3 s apart after 5 s of silence, or data sent 15 s ago have no answer.
TCP_OPTIONS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}

#: A row was claimed, changed or deleted; a person asks for a poll; a hook names a prototype of the account.
ChangeKind = Literal["claimed", "changed", "deleted", "poll_requested", "hook_received"]


@dataclass(frozen=True, slots=True)
class Change:
    """A prototype was written, or has to be polled because a person or a hook asks for it (see `ChangeKind`)."""

    workspace_id: str
    product_id: str
    mockup_id: str
    account: str
    kind: ChangeKind

    @property
    def is_poll_request(self) -> bool:
        """Whether the prototype is to be polled, and nothing was written."""
        return self.kind in ("poll_requested", "hook_received")


class Bus:
    """Distributes changes within one process."""

    def __init__(self) -> None:
        self.origin = uuid4().hex
        self._subscribers: set[asyncio.Queue[Change]] = set()
        self._by_mockup: dict[str, set[asyncio.Event]] = {}
        self._on_close: set[Callable[[], None]] = set()
        self._change_counts: Counter[str] = Counter()
        self._untold: dict[tuple[str, ChangeKind], tuple[Change, tuple[int, ...]]] = {}
        #: Whether changes wait for `take_untold`.
        self.has_untold = asyncio.Event()
        self.closed = False

    def close(self) -> None:
        """Wake all waiters because the process stops: they answer with the row as it is."""
        self.closed = True
        for waiters in self._by_mockup.values():
            for waiter in waiters:
                waiter.set()
        for stop in list(self._on_close):
            stop()

    @contextlib.contextmanager
    def closing(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` when the process stops, for as long as the context lasts."""
        self._on_close.add(stop)
        try:
            yield
        finally:
            self._on_close.discard(stop)

    def change_count(self, workspace_id: str) -> int:
        """The number of writes in a workspace that this process has seen so far."""
        return self._change_counts[workspace_id]

    def publish(self, change: Change) -> None:
        """Tell the subscribers of this process. Never blocks: a full queue loses its oldest change."""
        if not change.is_poll_request:
            self._change_counts[change.workspace_id] += 1
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(change)
        for waiter in self._by_mockup.get(change.mockup_id, ()):
            waiter.set()

    def tell(self, change: Change, events: Sequence[int] = ()) -> None:
        """Let other processes hear of a committed change, and of the events that belong to it, in a moment."""
        key = (change.mockup_id, change.kind)
        _, before = self._untold.pop(key, (change, ()))
        if len(self._untold) >= UNTOLD_SIZE:
            del self._untold[next(iter(self._untold))]
        self._untold[key] = (change, (*before, *events))
        self.has_untold.set()

    def take_untold(self, limit: int) -> list[tuple[Change, tuple[int, ...]]]:
        """The oldest changes that wait to be told, with their events, and take them away."""
        keys = list(self._untold)[:limit]
        if len(keys) == len(self._untold):
            self.has_untold.clear()
        return [self._untold.pop(key) for key in keys]

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[asyncio.Queue[Change]]:
        """A queue that receives all changes, for as long as the context lasts."""
        queue: asyncio.Queue[Change] = asyncio.Queue(QUEUE_SIZE)
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)

    @contextlib.contextmanager
    def watching(self, mockup_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever this prototype changes."""
        waiter = asyncio.Event()
        self._by_mockup.setdefault(mockup_id, set()).add(waiter)
        try:
            yield waiter
        finally:
            waiters = self._by_mockup[mockup_id]
            waiters.discard(waiter)
            if not waiters:
                del self._by_mockup[mockup_id]

    def encode(self, change: Change) -> str:
        """`change` as the payload of a NOTIFY. The payload names this process, which ignores its own notifications."""
        payload = json.dumps({"origin": self.origin, **asdict(change)}, separators=(",", ":"))
        if len(payload) <= PAYLOAD_BYTES:
            return payload
        # Only a row of the owner's has so long an id. Streams of that product alone do not hear of it, all others do.
        return self.encode(replace(change, product_id="")) if change.product_id else payload[:PAYLOAD_BYTES]

    def receive(self, payload: str) -> None:
        """Publish the change of a NOTIFY payload. Payloads of this process, and unreadable ones, are dropped."""
        try:
            values = json.loads(payload)
            if values.pop("origin", None) == self.origin:
                return
            change = Change(**values)
        except (ValueError, TypeError, AttributeError):
            log.warning("notification_unreadable")
            return
        self.publish(change)


def enable_keepalive(connection: Any) -> None:
    """Let the system end a PostgreSQL connection whose server is gone. Without it a read would wait for hours."""
    transport = getattr(connection, "_transport", None)
    endpoint = transport.get_extra_info("socket") if transport is not None else None
    if endpoint is None or endpoint.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):  # Other operating systems have other options.
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in TCP_OPTIONS.items():
            if hasattr(socket, name):
                endpoint.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
