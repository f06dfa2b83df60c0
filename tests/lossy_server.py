"""A proxy that loses answers: the server acts, and the client gets no answer."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

#: The bytes that replace the server's answer, by name; empty: the connection is closed without any.
INSTEAD = {
    "closed": b"",
    "gateway": b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<h1>502</h",
    "cut": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n{"id":',
}
_PROBLEM = json.dumps({"type": "urn:protokeep:problem:not-ready", "title": "t", "detail": "The database is away."})
INSTEAD["database"] = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    f"Content-Length: {len(_PROBLEM)}\r\n\r\n{_PROBLEM}"
).encode()


class Lossy:
    """Hands every request on, and loses the answers that it is told to lose."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heads: list[str] = []
        self._lost: tuple[str, bytes] | None = None
        self._thread = threading.Thread(target=self._accept, name="lossy")
        self._thread.start()

    @contextlib.contextmanager
    def losing(self, pattern: str, how: str = "closed") -> Iterator[None]:
        """Lose the answers to requests whose first line matches, for as long as the context lasts."""
        self._lost = (pattern, INSTEAD[how])
        try:
            yield
        finally:
            self._lost = None

    def keys(self) -> list[str]:
        """The idempotency keys that were sent, in order."""
        found = (re.search(r"(?im)^idempotency-key: *(.*?)\r?$", head) for head in self.heads)
        return [key[1] for key in found if key]

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            head, body = _request(connection)
            self.heads.append(head)
            answer = self._asked(re.sub(r"(?im)^connection:.*\r\n", "", head), body)
            lost = self._lost
            if lost is not None and re.search(lost[0], head.partition("\r\n")[0]):
                answer = lost[1]
            if answer:
                connection.sendall(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    def _asked(self, head: str, body: bytes) -> bytes:
        """The server's whole answer."""
        with socket.create_connection(self._upstream, timeout=30) as upstream:
            upstream.sendall(head.replace("\r\n", "\r\nConnection: close\r\n", 1).encode() + body)
            answer = b""
            while piece := upstream.recv(65536):
                answer += piece
        return answer


def _request(connection: socket.socket) -> tuple[str, bytes]:
    """One request: its head with the empty line, and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *([0-9]+)", head)
    while len(body) < (int(length[1]) if length else 0):
        body += _some(connection)
    return head.decode("latin-1") + "\r\n\r\n", body


def _some(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise EOFError
    return piece


@contextlib.contextmanager
def lossy(upstream: str) -> Iterator[Lossy]:
    """A lossy way to a server."""
    way = Lossy(upstream)
    try:
        yield way
    finally:
        way.close()
