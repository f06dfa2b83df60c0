"""The emulator on a real socket, a clock that tests turn, and a client that checks every answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from protokeep.sandbox import Knobs, Sandbox, running
from sandbox.v0_contract import MISSING, Document, documents_present


async def until(condition: Callable[[], bool]) -> None:
    """Wait, in real time and not for long, for something that happens beside the test."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - it changes in code that knows no event of ours
            await asyncio.sleep(0.005)


class Clock:
    """Stands still until told to move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


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
        body = json.loads(await response.aread())
        self.seen.add((api, operation))
        problems = document.answer_problems(operation, response.status_code, body)
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="session")
def documents() -> dict[str, Document]:
    """v0's documents by version; empty, and said so at the end, when they are missing."""
    return {api: Document(api) for api in ("v1", "v2")} if documents_present() else {}


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that the documents were missing."""
    if not documents_present():
        terminalreporter.section("sandbox contract NOT checked", red=True, bold=True)
        terminalreporter.line(MISSING)
