"""Who wants to know that a prototype changed: waiters and streams of this process, and those of the others.

A change names a prototype and carries no content: whoever hears of it reads the row. A lost change therefore
costs time, never truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import structlog

log = structlog.get_logger(__name__)

CHANNEL = "protokeep_changes"
#: Changes a slow subscriber may lag behind before it loses the oldest.
QUEUE_SIZE = 256
#: How often the connection that listens is asked whether it lives, and how long it may take to answer.
CHECK_SECONDS = 10.0
CHECK_PATIENCE = 5.0
#: When silence of a connection's other end counts: probes after 5 s, 3 s apart, and 15 s for what was sent.
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}


@dataclass(frozen=True, slots=True)
class Change:
    """Something about one prototype was written, or somebody (`look`) or a hook (`hooked`) wants it looked at."""

    workspace_id: str
    product_id: str
    mockup_id: str
    account: str
    kind: str

    @property
    def is_wish(self) -> bool:
        """Whether nothing was written: a look is wanted."""
        return self.kind in ("look", "hooked")


class Bus:
    """Changes within one process."""

    def __init__(self) -> None:
        self.origin = uuid4().hex
        self._subscribers: set[asyncio.Queue[Change]] = set()
        self._by_mockup: dict[str, set[asyncio.Event]] = {}
        self._on_close: set[Callable[[], None]] = set()
        self._heard: Counter[str] = Counter()
        self.closed = False

    def close(self) -> None:
        """The process stops: wake everybody who waits, so that they answer with what is known."""
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

    def heard(self, workspace_id: str) -> int:
        """Grows with every change of a workspace that was heard of."""
        return self._heard[workspace_id]

    def publish(self, change: Change) -> None:
        """Tell this process's subscribers. Never blocks: a full queue loses its oldest change."""
        if not change.is_wish:
            self._heard[change.workspace_id] += 1
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(change)
        for waiter in self._by_mockup.get(change.mockup_id, ()):
            waiter.set()

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[asyncio.Queue[Change]]:
        """A queue of all changes, for as long as the context lasts."""
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
        """`change` as the payload of a NOTIFY, marked with this process so that it is not heard twice."""
        return json.dumps({"origin": self.origin, **asdict(change)}, separators=(",", ":"))

    def receive(self, payload: str) -> None:
        """A NOTIFY payload from any process; unreadable ones and our own are dropped."""
        try:
            values = json.loads(payload)
            if values.pop("origin", None) == self.origin:
                return
            change = Change(**values)
        except (ValueError, TypeError, AttributeError):
            log.warning("notification_unreadable")
            return
        self.publish(change)


def notice_silence(connection: Any) -> None:
    """Let the system end a PostgreSQL connection whose other end is gone, instead of waiting for it for hours."""
    transport = getattr(connection, "_transport", None)
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):  # Another system has other options.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@contextlib.asynccontextmanager
async def listening(bus: Bus, url: str, retry_seconds: float = 1.0) -> AsyncIterator[None]:
    """Hear the changes of other processes on PostgreSQL for as long as the context lasts; reconnects by itself."""
    import asyncpg

    async def listen() -> None:
        while True:
            connection = None
            try:
                connection = await asyncpg.connect(url, timeout=CHECK_PATIENCE, command_timeout=CHECK_PATIENCE)
                notice_silence(connection)
                await _until_lost(connection, bus)
                log.warning("notifications_connection_lost")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("notifications_silent", error=type(error).__name__)
            finally:
                if connection is not None and not connection.is_closed():
                    connection.terminate()
            await asyncio.sleep(retry_seconds)

    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _until_lost(connection: Any, bus: Bus) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _connection: lost.set())
    await connection.add_listener(CHANNEL, _relay(bus.receive))
    while not lost.is_set():
        try:
            await asyncio.wait_for(lost.wait(), CHECK_SECONDS)
        except TimeoutError:
            await connection.execute("SELECT 1")  # A connection that only listens does not notice that it is dead.


def _relay(receive: Callable[[str], None]) -> Callable[[Any, Any, Any, Any], None]:
    def heard(_connection: Any, _pid: Any, _channel: Any, payload: Any) -> None:
        receive(str(payload))

    return heard
