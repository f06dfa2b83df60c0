"""The event log of each workspace, and the subscribers that are sent its events.

A process reads a changed prototype once, however many subscribers there are, and encodes the event once per kind of
stream. An event's id is `<epoch>-<number>`: a subscriber that comes back with one is sent the events after it, or
`resync` if they are not remembered any more. A subscriber that falls too far behind is dropped, and comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import structlog

from protokeep.bus import Bus, Change
from protokeep.core.errors import NotFound, TooMany
from protokeep.core.principals import Principal
from protokeep.core.shares import Holder, Shares
from protokeep.core.validation import whole_number_of
from protokeep.service.watching import OpenView
from protokeep.store.gallery import Card

log = structlog.get_logger(__name__)

#: Messages that may wait for one subscriber. Reading the page again is cheaper than catching up on more.
BACKLOG = 64
#: Events per workspace that are remembered for subscribers that come back.
REMEMBERED = 500
#: Characters of encoded events that are remembered, of all workspaces together. An event whose text was forgotten is
#: read and encoded again for a subscriber that comes back.
REMEMBERED_CHARACTERS = 8_000_000
#: Characters that a subscriber is handed at a time, so that a connection which takes nothing holds few of them.
HANDED_CHARACTERS = 64_000
#: The counts of a workspace are sent at most this often, however many of its prototypes change.
SUMMARY_SECONDS = 1.0
#: When somebody with too many open streams may try again.
FULL_PAUSE = timedelta(seconds=5)
#: What is said to whoever opens one stream too many.
FULL: Mapping[Holder, str] = {
    "person": "You have reached the limit of live streams of a person. Close other windows, then reload.",
    "workspace": "Your workspace has reached its limit of live streams on this server. Close other windows or "
    "programs that listen, then reload.",
    "process": "This server has reached its limit of live streams. Reload in a moment.",
}

#: Makes the JSON object of a `change` event from the changed card.
Encoder = Callable[[Card], Awaitable[Mapping[str, Any]]]
#: Makes the JSON object of a workspace's `counts`.
Summarizer = Callable[[str], Awaitable[Mapping[str, Any]]]
#: Reads a card by workspace and prototype id. Raises `NotFound`.
CardReader = Callable[[str, str], Awaitable[Card]]


@dataclass(frozen=True)
class Message:
    """One event as it is sent: `change`, `gone`, `counts`, `hello` or `resync`; `data` is JSON.

    Without an `id` a client that comes back is still sent what follows the event before.
    """

    id: str
    event: str
    data: str

    @cached_property
    def wire(self) -> bytes:
        """The message as it goes over the wire, encoded once however many streams send it."""
        number = f"id: {self.id}\n" if self.id else ""
        return f"{number}event: {self.event}\ndata: {self.data}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Topic:
    """What a subscriber follows: a workspace, one product of it, or one prototype."""

    workspace_id: str
    kind: str  #: names the encoder of its events
    product_id: str | None = None
    mockup_id: str | None = None

    def covers(self, event: LiveEvent) -> bool:
        """Whether a subscriber of this topic is sent `event`."""
        return (
            self.workspace_id == event.workspace_id
            and (self.product_id is None or self.product_id == event.product_id)
            and (self.mockup_id is None or self.mockup_id == event.mockup_id)
        )


@dataclass(slots=True)
class LiveEvent:
    """One change of a prototype, and its messages for the kinds of stream that were sent it so far."""

    number: int
    workspace_id: str
    product_id: str
    mockup_id: str
    messages: dict[str, Message] = field(default_factory=dict)


@dataclass(slots=True)
class EventLog:
    """The events of one workspace. Each log counts by itself: ids give no hint of what other workspaces do."""

    newest: int = 0
    events: deque[LiveEvent] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def append(self, change: Change) -> LiveEvent:
        """Add `change` as the newest event."""
        self.newest += 1
        event = LiveEvent(self.newest, change.workspace_id, change.product_id, change.mockup_id)
        self.events.append(event)
        return event

    def remembers_after(self, number: int) -> bool:
        """Whether every event after `number` is still here."""
        oldest = self.events[0].number if self.events else self.newest + 1
        return number >= oldest - 1

    def newest_after(self, number: int, topic: Topic) -> list[LiveEvent]:
        """The newest event of each prototype after `number` that `topic` covers, in their order."""
        newest: dict[str, LiveEvent] = {}
        for event in self.events:
            if event.number > number and topic.covers(event):
                newest.pop(event.mockup_id, None)
                newest[event.mockup_id] = event
        return list(newest.values())


class Subscriber:
    """One open stream. Messages wait here until its connection takes them."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.ended = False
        self._waiting: deque[Message] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: Message) -> None:
        """Add a message. One above `BACKLOG` ends the subscription and drops every message that waits."""
        if len(self._waiting) >= BACKLOG:
            self._waiting.clear()
            self.end()
        elif not self.ended:
            self._waiting.append(message)
            self._wake()

    def end(self) -> None:
        """Accept no more messages. Those that wait are still handed out."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def messages(self, patience: float) -> list[Message]:
        """The messages that wait, as soon as there is one; an empty list: none came within `patience` seconds, or the
        subscription has ended.

        At most `HANDED_CHARACTERS`, or one message that is longer; the rest waits for the next call.
        """
        if not self._waiting and not self.ended:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(patience, self._wake)  # Cheaper than a timeout, which every event would pay for.
            try:
                await self._waiter
            finally:
                timer.cancel()
        handed: list[Message] = []
        left = HANDED_CHARACTERS
        while self._waiting and (not handed or len(self._waiting[0].data) <= left):
            handed.append(self._waiting.popleft())
            left -= len(handed[-1].data)
        return handed


class Broadcast:
    """The events and subscribers of one process."""

    def __init__(self, bus: Bus, read_card: CardReader, shares: Shares) -> None:
        """`shares`: how many streams may be open."""
        self._bus = bus
        self._read_card = read_card
        self._shares = shares
        self._encoders: dict[str, Encoder] = {}
        self._epoch = secrets.token_hex(4)
        self._logs: defaultdict[str, EventLog] = defaultdict(EventLog)
        self._subscribers: set[Subscriber] = set()
        #: Events whose messages are remembered, in the order in which they were encoded, and how long these are.
        self._encoded: deque[tuple[LiveEvent, str]] = deque()
        self._encoded_characters = 0
        self._pending: dict[str, Change] = {}
        self._has_pending = asyncio.Event()
        self._summaries: dict[str, Summarizer] = {}
        #: Workspaces whose counts may have changed since they were sent.
        self._changed: set[str] = set()
        self._has_changed = asyncio.Event()

    def add_encoder(self, kind: str, encoder: Encoder) -> None:
        """Encode the events of streams of this kind with `encoder`."""
        self._encoders[kind] = encoder

    def add_summary(self, kind: str, summarizer: Summarizer) -> None:
        """After changes, also send streams of this kind what `summarizer` says of the whole workspace."""
        self._summaries[kind] = summarizer

    def newest_id(self, workspace_id: str) -> str:
        """The id of a workspace's newest event. A page takes it before it reads anything, and is sent what follows."""
        return f"{self._epoch}-{self._logs[workspace_id].newest}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Broadcast]:
        """Send changes to subscribers for as long as the context lasts; end every subscription with it."""
        tasks = [asyncio.create_task(self._collect()), asyncio.create_task(self._deliver())]
        tasks.append(asyncio.create_task(self._summarize()))
        try:
            with self._bus.closing(self.stop):
                yield self
        finally:
            self.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End every subscription."""
        for subscriber in self._subscribers:
            subscriber.end()

    @contextlib.contextmanager
    def subscribed(self, topic: Topic, principal: Principal) -> Iterator[Subscriber]:
        """A subscription for as long as the context lasts. Raises `TooMany`."""
        self.require_room(principal)
        subscriber = Subscriber(topic)
        self._subscribers.add(subscriber)
        if self._bus.closed:
            subscriber.end()
        try:
            with self._shares.held(principal):
                yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def require_room(self, principal: Principal) -> None:
        """Raises `TooMany` if `subscribed` would."""
        full = self._shares.full(principal)
        if full is not None:
            raise TooMany(FULL[full], retry_after=FULL_PAUSE)

    def open_streams(self) -> int:
        """How many streams are open in this process."""
        return len(self._subscribers)

    def open_views(self) -> set[OpenView]:
        """What somebody has open in this process."""
        topics = {subscriber.topic for subscriber in self._subscribers}
        return {OpenView(topic.workspace_id, topic.product_id, topic.mockup_id) for topic in topics}

    async def replay(self, topic: Topic, since: str | None) -> list[Message]:
        """The messages that a new subscriber begins with.

        The newest event of each prototype after the id `since`, then `hello`; only `hello` without `since`; only
        `resync` if the events after `since` are not remembered.
        """
        if since is None:
            return [self._signal(topic, "hello")]
        epoch, _, text = since.partition("-")
        log_of_workspace = self._logs[topic.workspace_id]
        number = whole_number_of(text, sys.maxsize)
        if epoch != self._epoch or number is None or not log_of_workspace.remembers_after(number):
            return [self._signal(topic, "resync")]
        events = log_of_workspace.newest_after(number, topic)
        if events and topic.kind in self._summaries:
            self._changed.add(topic.workspace_id)
            self._has_changed.set()
        messages = [await self._message_of(event, topic.kind) for event in events]
        return [*messages, self._signal(topic, "hello")]

    # -- inside ------------------------------------------------------------------------------------------------

    def _signal(self, topic: Topic, event: str) -> Message:
        return Message(self.newest_id(topic.workspace_id), event, "{}")

    async def _collect(self) -> None:
        """Take changes off the bus at once, so that its queue stays short; changes of one prototype become one."""
        with self._bus.subscribed() as changes:
            while True:
                change = await changes.get()
                if not change.is_poll_request:
                    self._pending[change.mockup_id] = change
                    self._has_pending.set()

    async def _deliver(self) -> None:
        while True:
            await self._has_pending.wait()
            self._has_pending.clear()
            pending, self._pending = self._pending, {}
            for change in pending.values():
                event = self._logs[change.workspace_id].append(change)
                try:
                    await self._send(event)
                except Exception as error:  # noqa: BLE001 - one event that fails must not end the delivery of others
                    log.warning("event_delivery_failed", error=type(error).__name__, prototype_id=change.mockup_id)
                self._changed.add(change.workspace_id)
            self._has_changed.set()

    async def _summarize(self) -> None:
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            changed, self._changed = self._changed, set()
            for workspace_id in changed:
                try:
                    await self.send_summary(workspace_id)
                except Exception as error:  # noqa: BLE001 - the next change sends the counts again
                    log.warning("event_delivery_failed", error=type(error).__name__, workspace_id=workspace_id)
            await asyncio.sleep(SUMMARY_SECONDS)

    async def send_summary(self, workspace_id: str) -> None:
        """Send a workspace's `counts` to its streams of the kinds that have them, read once for all.

        They have no id, because events that come before them may not have been sent yet.
        """
        of_kind: dict[Summarizer, Message] = {}
        for subscriber in [one for one in self._subscribers if one.topic.workspace_id == workspace_id]:
            if summarizer := self._summaries.get(subscriber.topic.kind):
                if summarizer not in of_kind:
                    of_kind[summarizer] = Message("", "counts", _json_of(await summarizer(workspace_id)))
                subscriber.put(of_kind[summarizer])

    async def _send(self, event: LiveEvent) -> None:
        subscribers = [subscriber for subscriber in self._subscribers if subscriber.topic.covers(event)]
        for kind in {subscriber.topic.kind for subscriber in subscribers}:
            message = await self._message_of(event, kind)
            for subscriber in subscribers:
                if subscriber.topic.kind == kind:
                    subscriber.put(message)

    async def _message_of(self, event: LiveEvent, kind: str) -> Message:
        """The message of an event, encoded once per kind of stream."""
        message = event.messages.get(kind)
        if message is None:
            event_id = f"{self._epoch}-{event.number}"
            try:
                card = await self._read_card(event.workspace_id, event.mockup_id)
                message = Message(event_id, "change", _json_of(await self._encoders[kind](card)))
            except NotFound:
                data = {"id": event.mockup_id, "product_id": event.product_id}
                message = Message(event_id, "gone", _json_of(data))
            if kind not in event.messages:  # Nobody else has encoded it meanwhile.
                self._remember(event, kind, message)
        return message

    def _remember(self, event: LiveEvent, kind: str, message: Message) -> None:
        """Remember a message, and forget the oldest ones above `REMEMBERED_CHARACTERS`."""
        event.messages[kind] = message
        self._encoded.append((event, kind))
        self._encoded_characters += len(message.data)
        while self._encoded_characters > REMEMBERED_CHARACTERS:
            oldest, of_kind = self._encoded.popleft()
            self._encoded_characters -= len(oldest.messages.pop(of_kind).data)


def _json_of(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
