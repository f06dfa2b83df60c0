"""Server-sent events: a subscription as an HTTP response (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from protokeep.core.errors import NotAllowed, NotAuthenticated
from protokeep.core.principals import Principal
from protokeep.web.broadcast import Broadcast, Message, Subscriber, Topic

log = structlog.get_logger(__name__)

#: A comment line after so much silence. Proxies close a stream that is quiet for 30 to 60 s.
HEARTBEAT_SECONDS = 15.0
#: A stream ends after this and up to a quarter more, so that clients do not all come back, and sign in, together.
LIFETIME_SECONDS = 600.0
#: How often the token or session of an open stream is checked again: a stream outlives its revocation by this.
REAUTHORIZE_SECONDS = 30.0
#: A connection that takes no byte for so long is closed.
SEND_SECONDS = 30.0

#: Tells the client how many milliseconds to wait before it comes back.
OPENING = b"retry: 2000\n\n"
HEARTBEAT = b":\n\n"

#: Raises `NotAuthenticated` or `NotAllowed` once the token or session of a stream has been revoked.
Authorization = Callable[[], Awaitable[object]]


class EventStream(Response):
    """A stream of events until the client leaves, is too slow, is not authorized any more, or the process stops."""

    media_type = "text/event-stream"

    def __init__(
        self,
        broadcast: Broadcast,
        topic: Topic,
        principal: Principal,
        *,
        since: str | None,
        authorize: Authorization,
    ) -> None:
        """`since`: the id of the last event that the client knows. Raises `TooMany`."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        broadcast.require_room(principal)
        self._broadcast = broadcast
        self._topic = topic
        self._principal = principal
        self._since = since
        self._authorize = authorize

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with (
            self._broadcast.subscribed(self._topic, self._principal) as subscriber,
            _running(_end_on_disconnect(receive, subscriber), _end_when_revoked(self._authorize, subscriber)),
            _ending_after(LIFETIME_SECONDS * random.uniform(1, 1.25), subscriber),  # noqa: S311 - no secret
        ):
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                # A task of its own: an event would wake every frame of the application above this one, for each viewer.
                await asyncio.create_task(self._send_events(send, subscriber))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except (TimeoutError, OSError):
                log.info("subscriber_dropped")

    async def _send_events(self, send: Send, subscriber: Subscriber) -> None:
        body = OPENING + encoded(await self._broadcast.replay(self._topic, self._since))
        while body:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            body = await next_body(subscriber)


def encoded(messages: Iterable[Message]) -> bytes:
    """Messages as they go over the wire."""
    return b"".join([one.wire for one in messages])


async def next_body(subscriber: Subscriber) -> bytes:
    """The next messages of a subscriber, a heartbeat if none comes in time, or nothing at the end."""
    messages = await subscriber.messages(HEARTBEAT_SECONDS)
    return encoded(messages) if messages or subscriber.ended else HEARTBEAT


async def _end_on_disconnect(receive: Receive, subscriber: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscriber.end()


async def _end_when_revoked(authorize: Authorization, subscriber: Subscriber) -> None:
    """End a stream whose token or session was revoked. A check that cannot be made ends nothing."""
    while not subscriber.ended:
        await asyncio.sleep(REAUTHORIZE_SECONDS)
        try:
            await authorize()
        except (NotAuthenticated, NotAllowed):
            subscriber.end()
        except Exception as error:  # noqa: BLE001 - the database may be away: the stream stays, and is checked again
            log.warning("reauthorization_failed", error=type(error).__name__)


@contextlib.contextmanager
def _running(*coroutines: Awaitable[None]) -> Iterator[None]:
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


@contextlib.contextmanager
def _ending_after(seconds: float, subscriber: Subscriber) -> Iterator[None]:
    timer = asyncio.get_running_loop().call_later(seconds, subscriber.end)
    try:
        yield
    finally:
        timer.cancel()
