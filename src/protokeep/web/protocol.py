"""uvicorn's HTTP protocol with limits on the size of a request's head and on the time that a request may take.

uvicorn's httptools protocol has neither: an endless head would fill the memory, and a client that sends a byte now and
then would hold its connection for ever. It also queues all requests that a connection sends at once, and tells only the
last of them when the client leaves. This class relies on uvicorn's internals: `test_slow_clients.py` fails when an
upgrade changes them. A proxy in front does the same better.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

log = structlog.get_logger(__name__)


def _response(status: str, text: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\n"
    return f"{head}connection: close\r\n\r\n{text}".encode()


TOO_LARGE = _response("431 Request Header Fields Too Large", "The request's head is too large")
TOO_SLOW = _response("408 Request Timeout", "The request came too slowly")


@dataclass(frozen=True, slots=True)
class RequestBounds:
    """Limits of one request."""

    max_header_bytes: int = 32 * 1024
    #: From the connection, or the first byte of a later request, to the end of the head.
    header_seconds: float = 20.0
    #: From the end of the head to the end of the body.
    body_seconds: float = 60.0
    #: From the moment at which more of an answer waits than the network takes, and what is granted beyond it per byte.
    taking_seconds: float = 30.0
    taking_bytes_per_second: float = 20_000
    #: Requests of one connection that wait until those before them are answered.
    max_waiting: int = 64


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose head is too large, or whose head or body takes too long.

    The limits are for a whole head or body, not for the pause between two bytes: a client that sends a byte a second is
    too slow. A head may exceed its limit by one packet. There is no limit while the application works on its answer;
    a client that does not take the answer is cut off, because the rest of it fills our memory. So is one that sends
    request after request before the answers: each that waits takes many times its own size.
    """

    bounds = RequestBounds()
    _awaited: Literal["head", "body"] | None = "head"
    _has_begun = False
    _has_progress = False
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _taking_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._restart_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._awaited = None
        self._restart_timer()
        self._stop_taking_timer()
        super().connection_lost(exc)
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        self._unanswered.clear()
        self.pipeline.clear()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_taking_timer()
        seconds = self.transport.get_write_buffer_size() / self.bounds.taking_bytes_per_second
        self._taking_deadline = self.loop.call_later(self.bounds.taking_seconds + seconds, self._not_taken)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_taking_timer()

    # -- called by the parser ----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self.bounds.max_waiting:
            raise ValueError("too many requests of this connection wait")  # The parser stops: 400, and the end.
        # The packet in which a message begins may hold the end of the message before: it is not counted.
        self._awaited, self._has_begun, self._has_progress, self._head_bytes = "head", True, True, -1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._awaited, self._has_progress = "body", True
        super().on_headers_complete()
        self._unanswered.append(self.cycle)

    def on_message_complete(self) -> None:
        self._awaited, self._has_progress = None, True
        super().on_message_complete()

    # -- called by uvicorn -------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        if self._unanswered:
            self._unanswered.popleft()
        super().on_response_complete()
        if self.pipeline and not self._is_closing():
            self.flow.pause_reading()  # uvicorn reads on after each answer, whatever still waits.

    # -- called by asyncio --------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaited is None and not self._has_progress and self._is_idle():
            # Line ends between two requests begin no message, but ended the wait for the next one.
            self._awaited, self._has_begun, self._has_progress, self._head_bytes = "head", False, True, 0
        if self._has_progress:
            self._has_progress = False
            self._restart_timer()
        if self._awaited == "head":
            self._head_bytes = 0 if self._head_bytes < 0 else self._head_bytes + len(data)
            if self._head_bytes > self.bounds.max_header_bytes and not self._is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def _restart_timer(self) -> None:
        """Start the timer of the head or body that is awaited; stop it if none is."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._awaited is not None:
            seconds = self.bounds.header_seconds if self._awaited == "head" else self.bounds.body_seconds
            self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        if self._is_closing():
            return
        if self.flow.read_paused:  # The application has not read on: the client is not slow.
            self._restart_timer()
            return
        log.info("request_too_slow", waited_for=self._awaited)
        unanswered = self._is_idle() if self._awaited == "head" else not self.cycle.response_started
        if self._has_begun and unanswered:
            self.transport.write(TOO_SLOW)
        if not self._is_idle():  # Tells the application, which may be reading the body, that the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _stop_taking_timer(self) -> None:
        if self._taking_deadline is not None:
            self._taking_deadline.cancel()
            self._taking_deadline = None

    def _not_taken(self) -> None:
        """Drop the connection with all that waits for it."""
        self._taking_deadline = None
        log.info("answer_not_taken")
        self.transport.abort()

    def _is_idle(self) -> bool:
        """Whether no request is being processed."""
        cycle: Any = self.cycle  # None before the first request.
        return cycle is None or bool(cycle.response_complete)

    def _is_closing(self) -> bool:
        transport: Any = self.transport
        return transport is None or bool(transport.is_closing())


def bounded_protocol(bounds: RequestBounds) -> type[asyncio.Protocol]:
    """A protocol class with these limits, for `uvicorn.Config.http`."""
    return type("Bounded", (BoundedProtocol,), {"bounds": bounds})
