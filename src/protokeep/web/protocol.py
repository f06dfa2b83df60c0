"""uvicorn's HTTP protocol, with a bound on how large a request's head may be and on how long a request may take.

httptools, which uvicorn takes, has neither: a head without end would be kept in memory whole, and a client that sends
a byte now and then, or none, would keep its connection for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger(__name__)


def _answer(status: str, words: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(words)}\r\n"
    return f"{head}connection: close\r\n\r\n{words}".encode()


TOO_LARGE = _answer("431 Request Header Fields Too Large", "The request's head is too large")
TOO_SLOW = _answer("408 Request Timeout", "The request came too slowly")


@dataclass(frozen=True, slots=True)
class RequestBounds:
    """What one request is held to, from its first byte on."""

    max_header_bytes: int = 32 * 1024
    #: From the connection, or the first byte, to the end of the head; and from there to the end of the body.
    header_seconds: float = 20.0
    body_seconds: float = 60.0


class BoundedProtocol(HttpToolsProtocol):
    """Reads at most so many bytes (and one packet) of one request's head, and waits for each part only so long.

    What counts is the whole of a part, not the pause between two bytes: who sends one a second is slow, too. While an
    answer is under way nothing is waited for. A request that comes in one packet sets no timer.
    """

    bounds = RequestBounds()
    _waits_for: Literal["head", "body"] | None = "head"
    _begun = False
    _moved = False
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waits_for = None
        self._wait()
        super().connection_lost(exc)

    # -- what the parser tells ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        # The packet that it begins in may hold the end of the request before: it is not counted.
        self._waits_for, self._begun, self._moved, self._head_bytes = "head", True, True, -1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._waits_for, self._moved = "body", True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._waits_for, self._moved = None, True
        super().on_message_complete()

    # -- what comes in -----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waits_for is None and not self._moved and self._is_idle():
            # Line ends between two requests begin none, but have ended the wait for the next.
            self._waits_for, self._begun, self._moved, self._head_bytes = "head", False, True, 0
        if self._moved:
            self._moved = False
            self._wait()
        if self._waits_for == "head":
            self._head_bytes = 0 if self._head_bytes < 0 else self._head_bytes + len(data)
            if self._head_bytes > self.bounds.max_header_bytes and not self._is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def _wait(self) -> None:
        """Begin to count the time of what is waited for, if anything is."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._waits_for is not None:
            seconds = self.bounds.header_seconds if self._waits_for == "head" else self.bounds.body_seconds
            self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        if self._is_closing():
            return
        if self.flow.read_paused:  # It is us who do not read on.
            self._wait()
            return
        log.info("request_too_slow", waited_for=self._waits_for)
        unanswered = self._is_idle() if self._waits_for == "head" else not self.cycle.response_started
        if self._begun and unanswered:
            self.transport.write(TOO_SLOW)
        if not self._is_idle():  # Whoever reads the body is told at once that no more of it comes.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _is_idle(self) -> bool:
        """Whether no request is being answered."""
        cycle: Any = self.cycle  # None before the first request.
        return cycle is None or bool(cycle.response_complete)

    def _is_closing(self) -> bool:
        transport: Any = self.transport
        return transport is None or bool(transport.is_closing())


def bounded_protocol(bounds: RequestBounds) -> type[asyncio.Protocol]:
    """The protocol under these bounds, as uvicorn takes it: a class."""
    return type("Bounded", (BoundedProtocol,), {"bounds": bounds})
