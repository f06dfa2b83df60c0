"""uvicorn's HTTP protocol, with a bound on headers that do not end.

httptools, which uvicorn takes where it is installed, has none of its own: a request whose headers never end would be
kept in memory whole.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 31\r\nconnection: close\r\n\r\n"
    b"The request's head is too large"
)


def bounded_protocol(max_header_bytes: int) -> type[asyncio.Protocol] | Literal["auto"]:
    """A protocol that reads at most so many bytes (and one packet) of one request's head."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "auto"  # h11 has a bound, which the server's settings name.

    class Bounded(HttpToolsProtocol):
        """Counts what comes in between the first packet of a request's head and the end of its headers."""

        in_head = False
        head_bytes = 0

        def on_message_begin(self) -> None:
            # The packet that it begins in may hold the end of the request before: it is not counted.
            self.in_head, self.head_bytes = True, -1
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self.in_head = False
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self.in_head:
                return
            self.head_bytes = 0 if self.head_bytes < 0 else self.head_bytes + len(data)
            if self.head_bytes > max_header_bytes and not self._is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

        def _is_closing(self) -> bool:
            transport: Any = self.transport
            return transport is None or bool(transport.is_closing())

    return Bounded
