"""A TCP proxy between protokeep and its database or its builder, which loses what a network can lose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self


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
        self.watch: Callable[[bytes], None] | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
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
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()
        self._pairs.clear()

    def silence(self) -> int:
        """Every connection of now goes half-open: nothing comes through, nothing is reset. New ones work."""
        for pair in self._pairs:
            for writer in pair:
                with contextlib.suppress(RuntimeError):
                    transport = writer.transport
                    assert isinstance(transport, asyncio.Transport)
                    transport.pause_reading()
        return len(self._pairs)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            upward = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, upward[1])
        self._pairs.add(pair)
        await asyncio.gather(self._pump(reader, upward[1], True), self._pump(upward[0], writer, False))
        self._pairs.discard(pair)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if up and self.watch is not None:
                    self.watch(data)
                while self.holds_requests if up else self.holds_answers:
                    await asyncio.sleep(0.02)
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(ConnectionError, RuntimeError):
            writer.close()
