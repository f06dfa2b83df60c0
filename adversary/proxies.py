"""A TCP proxy between protokeep and its database or its builder, which loses what a network can lose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(eq=False)
class Link:
    """One connection through a proxy, to PostgreSQL: what of it goes up is watched."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    in_transaction: bool = False
    #: A sign that was waited for has gone up in the transaction that is open.
    signed: bool = False


class Proxy:
    """Passes bytes to a port of 127.0.0.1. Its fields may be changed at any moment."""

    def __init__(self, port: int) -> None:
        self.to_port = port
        self.port = 0
        #: Bytes wait here, in each direction, as in a partition. None is lost.
        self.holds_requests = False
        self.holds_answers = False
        #: New connections are reset.
        self.refuses = False
        #: Is shown everything that goes up, before it goes.
        self.watch: Callable[[bytes, Link], None] | None = None
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Reset every connection and end."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for link in list(self._links):
            for writer in link.writers:
                writer.transport.abort()
        self._links.clear()

    def silence(self) -> int:
        """Every connection of now goes half-open: nothing comes through, nothing is reset. New ones work."""
        for link in self._links:
            for writer in link.writers:
                with contextlib.suppress(RuntimeError):
                    transport = writer.transport
                    assert isinstance(transport, asyncio.Transport)
                    transport.pause_reading()
        return len(self._links)

    def when_commits(self, sign: bytes, then: Callable[[], None]) -> asyncio.Event:
        """Do something once, when the commit of a statement that holds a sign is about to go up; the event tells."""
        done = asyncio.Event()

        def watch(data: bytes, link: Link) -> None:
            link.in_transaction = link.in_transaction or b"BEGIN" in data
            link.signed = link.signed or sign in data
            commits = b"COMMIT" in data or not link.in_transaction
            if link.signed and commits and not done.is_set():
                done.set()
                then()
            if commits or b"ROLLBACK" in data:
                link.in_transaction = link.signed = False

        self.watch = watch
        return done

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            upward = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link((writer, upward[1]))
        self._links.add(link)
        with contextlib.suppress(asyncio.CancelledError):  # At the end of all: the loop closes.
            await asyncio.gather(self._pump(reader, upward[1], link, True), self._pump(upward[0], writer, link, False))
        self._links.discard(link)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link, up: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if up and self.watch is not None:
                    self.watch(data, link)
                while self.holds_requests if up else self.holds_answers:
                    await asyncio.sleep(0.02)
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(ConnectionError, RuntimeError):
            writer.close()
