"""Live events: whoever has a page or a stream open hears that a prototype changed.

One process reads a changed prototype once, however many look on, and encodes it once per kind of stream. A viewer who
reads too slowly is dropped and starts anew. Every event has an id `<epoch>-<number>`; whoever comes back with one gets
what was missed, or is told to read everything again (`resync`) when that is not known any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from protokeep.bus import Change
from protokeep.core.errors import NotAllowed, NotAuthenticated, NotFound, TooMany
from protokeep.core.principals import Principal
from protokeep.service.gallery import Gallery
from protokeep.service.keeper import Keeper
from protokeep.store.gallery import Card

log = structlog.get_logger(__name__)

#: Events a viewer may lag behind. A page that has missed so many is quicker read anew.
BACKLOG = 64
#: Events that are remembered for those who come back.
REMEMBERED = 500
#: A line that says nothing keeps proxies from closing a quiet stream, which they do after 30 to 60 s.
BEAT_SECONDS = 15.0
#: A stream ends after about so many beats: whoever comes back shows again who they are.
LONGEST_BEATS = 40
#: Whether a viewer may still come in is asked again after this: a token that was revoked hears no more.
ASK_SECONDS = 30.0
#: What is looked at with an open page counts as watched; each round renews that.
WATCH_SECONDS = 5.0
#: A viewer whose connection takes nothing for so long is gone.
SEND_SECONDS = 30.0

BEAT = b":\n\n"

#: What a viewer is told of a changed card, as a value for JSON.
Encoder = Callable[[Card], Awaitable[Mapping[str, Any]]]
#: Raises `NotAuthenticated` or `NotAllowed` once a viewer's token or session does not count any more.
StillIn = Callable[[], Awaitable[object]]


#: When somebody with too many streams may try again.
FULL_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a viewer looks at: a workspace, one product of it, or one prototype."""

    workspace_id: str
    kind: str  #: the encoder that words it
    product_id: str | None = None
    mockup_id: str | None = None

    def covers(self, entry: LiveEvent) -> bool:
        """Whether a viewer of this hears of it."""
        return (
            self.workspace_id == entry.workspace_id
            and (self.product_id is None or self.product_id == entry.product_id)
            and (self.mockup_id is None or self.mockup_id == entry.mockup_id)
        )


@dataclass(slots=True)
class LiveEvent:
    """One event: what changed, and its bytes for each kind of stream that has asked so far."""

    number: int
    workspace_id: str
    product_id: str
    mockup_id: str
    frames: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class EventLog:
    """The events of one workspace: counted apart, so that none learns from its numbers how much others do."""

    number: int = 0
    remembered: deque[LiveEvent] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class Subscriber:
    """One open stream. Frames wait here until its connection takes them."""

    __slots__ = ("_frames", "_woken", "beats", "ended", "person", "still_in", "topic")

    def __init__(self, topic: Topic, person: str, still_in: StillIn | None = None) -> None:
        self.topic = topic
        self.person = person
        self.still_in = still_in
        self.ended = False
        self.beats = LONGEST_BEATS + random.randrange(LONGEST_BEATS // 4)  # noqa: S311 - so that not all come back at once
        self._frames: deque[bytes] = deque()
        self._woken: asyncio.Future[None] | None = None

    def put(self, frame: bytes) -> None:
        """Add a frame. One too many ends the viewer: what it has is dropped, and it comes back for all of it."""
        if len(self._frames) >= BACKLOG:
            self._frames.clear()
            self.end()
        elif not self.ended:
            self._frames.append(frame)
            self._wake()

    def end(self) -> None:
        """No more frames after those that wait."""
        self.ended = True
        self._wake()

    async def frames(self) -> bytes:
        """All frames that wait, as soon as there are any; empty: the stream ends."""
        if not self._frames and not self.ended:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
            self._woken = None
        waiting = b"".join(self._frames)
        self._frames.clear()
        return waiting

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class Live:
    """The viewers of one process."""

    def __init__(self, keeper: Keeper, gallery: Gallery, *, per_person: int, per_process: int) -> None:
        self._per_person = per_person
        self._per_process = per_process
        self._context = keeper.context
        self._gallery = gallery
        self._encoders: dict[str, Encoder] = {}
        self._epoch = secrets.token_hex(4)
        self._told: defaultdict[str, EventLog] = defaultdict(EventLog)
        self._viewers: set[Subscriber] = set()
        self._streams: Counter[str] = Counter()
        self._pending: dict[str, Change] = {}
        self._heard = asyncio.Event()

    def encodes(self, kind: str, encoder: Encoder) -> None:
        """Let streams of this kind be worded by `encoder`."""
        self._encoders[kind] = encoder

    def mark(self, workspace_id: str) -> str:
        """The id of a workspace's newest event. Taken before a page is read, it says what the page may have missed."""
        return f"{self._epoch}-{self._told[workspace_id].number}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Live]:
        """Hear and tell for as long as the context lasts."""
        tasks = [asyncio.create_task(step()) for step in (self._hear, self._tell, self._beat, self._watch, self._ask)]
        try:
            with self._context.bus.closing(self.stop):
                yield self
        finally:
            self.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End every stream at once."""
        for viewer in self._viewers:
            viewer.end()

    @contextlib.contextmanager
    def viewing(self, topic: Topic, principal: Principal, still_in: StillIn | None = None) -> Iterator[Subscriber]:
        """A viewer, for as long as the context lasts. Raises `TooMany`."""
        self.check_room(principal)
        person = _person(principal)
        viewer = Subscriber(topic, person, still_in)
        self._viewers.add(viewer)
        self._streams[person] += 1
        if self._context.bus.closed:
            viewer.end()
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            self._streams[person] -= 1
            if not self._streams[person]:
                del self._streams[person]

    def check_room(self, principal: Principal) -> None:
        """Raises `TooMany` when `viewing` would."""
        if self._streams[_person(principal)] >= self._per_person or len(self._viewers) >= self._per_process:
            raise TooMany("Too many streams are open. Close other windows, then reload.", retry_after=FULL_PAUSE)

    async def missed(self, topic: Topic, since: str | None) -> bytes:
        """What happened after the event `since`, newest state only; `resync` when that is not known any more."""
        opening = b"retry: 2000\n\n"
        mark = self.mark(topic.workspace_id)
        if since is None:
            return opening + _frame(mark, "hello", {})
        epoch, _, number = since.partition("-")
        told = self._told[topic.workspace_id]
        oldest = told.remembered[0].number if told.remembered else told.number + 1
        known = epoch == self._epoch and number.isascii() and number.isdigit() and int(number) >= oldest - 1
        if not known:
            return opening + _frame(mark, "resync", {})
        newest: dict[str, LiveEvent] = {}
        for entry in told.remembered:
            if entry.number > int(number) and topic.covers(entry):
                newest.pop(entry.mockup_id, None)
                newest[entry.mockup_id] = entry
        frames = [await self._frame_of(entry, topic.kind) for entry in newest.values()]
        return opening + b"".join(frames) + _frame(self.mark(topic.workspace_id), "hello", {})

    # -- inside ------------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Take changes off the bus at once; several of one prototype in a row become one event."""
        with self._context.bus.subscribed() as changes:
            while True:
                change = await changes.get()
                if not change.is_poll_request:
                    self._pending[change.mockup_id] = change
                    self._heard.set()

    async def _tell(self) -> None:
        while True:
            await self._heard.wait()
            self._heard.clear()
            pending, self._pending = self._pending, {}
            for change in pending.values():
                told = self._told[change.workspace_id]
                told.number += 1
                entry = LiveEvent(told.number, change.workspace_id, change.product_id, change.mockup_id)
                told.remembered.append(entry)
                try:
                    await self._deliver(entry)
                except Exception as error:  # noqa: BLE001 - the outermost line of a loop that has to go on
                    log.warning("event_delivery_failed", error=type(error).__name__, prototype_id=change.mockup_id)

    async def _deliver(self, entry: LiveEvent) -> None:
        hearing = [viewer for viewer in self._viewers if viewer.topic.covers(entry)]
        for kind in {viewer.topic.kind for viewer in hearing}:
            frame = await self._frame_of(entry, kind)
            for viewer in hearing:
                if viewer.topic.kind == kind:
                    viewer.put(frame)

    async def _frame_of(self, entry: LiveEvent, kind: str) -> bytes:
        """The bytes of an event, encoded once per kind of stream."""
        frame = entry.frames.get(kind)
        if frame is None:
            event_id = f"{self._epoch}-{entry.number}"
            try:
                card = await self._gallery.card(entry.workspace_id, entry.mockup_id)
                frame = _frame(event_id, "change", await self._encoders[kind](card))
            except NotFound:
                frame = _frame(event_id, "gone", {"id": entry.mockup_id, "product_id": entry.product_id})
            entry.frames[kind] = frame
        return frame

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for viewer in list(self._viewers):
                viewer.beats -= 1
                if viewer.beats > 0:
                    viewer.put(BEAT)
                else:
                    viewer.end()

    async def _ask(self) -> None:
        """Who may not come in any more does not stay, either."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            for viewer in list(self._viewers):
                try:
                    if viewer.still_in is not None and not viewer.ended:
                        await viewer.still_in()
                except (NotAuthenticated, NotAllowed):
                    viewer.end()
                except Exception as error:  # noqa: BLE001 - nobody could be asked: no reason to go, nor to stop here
                    log.warning("reauthorization_failed", error=type(error).__name__)
                await asyncio.sleep(0)  # A read on SQLite is done at once: others have their turn in between.

    async def _watch(self) -> None:
        """What is open on somebody's screen is looked at more often while it is being made."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                for topic in {viewer.topic for viewer in self._viewers}:
                    await self._gallery.watch(topic.workspace_id, topic.product_id, topic.mockup_id)
            except Exception as error:  # noqa: BLE001 - the outermost line of a loop that has to go on
                log.warning("watching_not_renewed", error=type(error).__name__)


class LiveResponse(Response):
    """A stream of events until the viewer leaves, is too slow, or the process stops."""

    media_type = "text/event-stream"

    def __init__(
        self, live: Live, topic: Topic, principal: Principal, since: str | None, still_in: StillIn | None = None
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        live.check_room(principal)
        self._live = live
        self._topic = topic
        self._principal = principal
        self._since = since
        self._still_in = still_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._live.viewing(self._topic, self._principal, self._still_in) as viewer:
            leaving = asyncio.create_task(_left(receive, viewer))
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                frames = await self._live.missed(self._topic, self._since)
                while frames:
                    async with asyncio.timeout(SEND_SECONDS):
                        await send({"type": "http.response.body", "body": frames, "more_body": True})
                    frames = await viewer.frames()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except (TimeoutError, OSError):
                log.info("subscriber_dropped")
            finally:
                leaving.cancel()


async def _left(receive: Receive, viewer: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.end()


def _person(principal: Principal) -> str:
    return f"{principal.workspace_id}/{principal.user_id}"


def _frame(event_id: str, event: str, data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    return f"id: {event_id}\nevent: {event}\ndata: {text}\n\n".encode()
