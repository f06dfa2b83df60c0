"""The emulator on a real socket, a clock that tests turn, and a client that checks every answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from protokeep.sandbox import Knobs, Sandbox, running
from sandbox.v0_contract import Document
from world import Clock


class V0:
    """A client of the emulator. Every answer of v1 and v2 is held against v0's documents."""

    def __init__(self, url: str, key: str, documents: dict[str, Document]) -> None:
        self.url = url
        self.seen: set[tuple[str, str]] = set()
        self.unchecked = False
        self._documents = documents
        headers = {"authorization": f"Bearer {key}"} if key else {}
        hooks = {"response": [self._check]}
        self.http = httpx2.AsyncClient(base_url=url, headers=headers, event_hooks=hooks, trust_env=False)
        self.get, self.post, self.patch = self.http.get, self.http.post, self.http.patch
        self.put, self.delete = self.http.put, self.http.delete

    async def knobs(self, **changes: object) -> None:
        """Turn knobs as another tool would."""
        (await self.patch("/_sandbox/knobs", json=changes)).raise_for_status()

    async def _check(self, response: httpx2.Response) -> None:
        api, _, path = response.request.url.path.lstrip("/").partition("/")
        document = self._documents.get(api)
        if document is None or self.unchecked:
            return
        operation = document.at(response.request.method, f"/{path}")
        if operation is None:
            assert response.status_code >= 400, f"{response.request.method} {response.request.url}"
            return
        content = await response.aread()
        self.seen.add((api, operation))
        kind = response.headers["content-type"]
        problems = document.response_problems(operation, response.status_code, kind, content)
        assert not problems, "\n".join(problems)


@asynccontextmanager
async def hosted(content: bytes) -> AsyncIterator[str]:
    """Those bytes behind a URL of this machine, as somebody else's server has them."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/archive.zip"


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    """An emulator whose generations take ten seconds of that clock."""
    return Sandbox(clock, Knobs(generation_seconds=10), random_seed=7)


@pytest.fixture
async def url(sandbox: Sandbox) -> AsyncIterator[str]:
    """Its address."""
    async with running(sandbox) as address:
        yield address


@pytest.fixture
async def v0(url: str, documents: dict[str, Document]) -> AsyncIterator[V0]:
    """A client with a key."""
    client = V0(url, "key-one", documents)
    async with client.http:
        yield client


@pytest.fixture
async def other(url: str, documents: dict[str, Document]) -> AsyncIterator[V0]:
    """A client with another key."""
    client = V0(url, "key-two", documents)
    async with client.http:
        yield client


@pytest.fixture
async def nobody(url: str, documents: dict[str, Document]) -> AsyncIterator[V0]:
    """A client without a key."""
    client = V0(url, "", documents)
    async with client.http:
        yield client
