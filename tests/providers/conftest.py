"""One provider of either version, against the emulated v0 over real HTTP or against made-up answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from protokeep.core.prototype import Observation
from protokeep.providers.base import PollResult, PollTarget, RemoteChat
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_v1 import V0V1
from protokeep.providers.v0_v2 import V0V2
from protokeep.sandbox import Chat, Knobs, Sandbox, running
from world import Clock

MARKS = {"protokeep": "keeper-1", "protokeep_marker": "marker-1"}
ROOT = "http://v0.test"

#: An adapter of either version.
V0Provider = V0V1 | V0V2


def provider_of(
    version: int,
    root_url: str = ROOT,
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    scope: str | None = "mckinsey",
    timeout_seconds: float = 5.0,
    api_key: str = "key",
) -> V0Provider:
    """An adapter of that version."""
    config = V0Config(api_key, root_url, root_url, scope, timeout_seconds)
    return V0V1(config, transport) if version == 1 else V0V2(config, transport)


async def none_known(chats: Sequence[str]) -> set[str]:
    """No row has any of these chats."""
    return set()


@dataclass
class V0:
    """The emulated v0, and one provider that speaks to it."""

    version: int
    clock: Clock
    sandbox: Sandbox
    url: str
    provider: V0Provider

    async def create(self, prompt: str = "A shop", metadata: dict[str, str] | None = None) -> RemoteChat:
        """A chat with the marks of these tests."""
        return await self.provider.create(prompt, MARKS if metadata is None else metadata)

    async def poll(self, *chats: RemoteChat) -> PollResult:
        """One round of looks at chats that were made by `create`."""
        return await self.provider.observe([PollTarget(m.chat_id, m.message_id, self.clock.now) for m in chats])

    async def observe(self, chat: RemoteChat) -> Observation:
        """What a look at one chat says."""
        return (await self.poll(chat)).observations[chat.chat_id]

    async def find(self, **metadata: str) -> list[str]:
        """The ids of chats of the last hour that carry the marks of these tests."""
        since = self.clock.now - timedelta(hours=1)
        found = await self.provider.find([metadata or MARKS], sent_after=since, known=none_known)
        return [chat.chat_id for chat in found.chats]

    @property
    def chat(self) -> Chat:
        """The one chat that there is."""
        (chat,) = self.sandbox.chats.values()
        return chat

    @property
    def calls(self) -> dict[str, int]:
        """Calls by operation."""
        counted: dict[str, int] = self.sandbox.stats()["calls"]
        return counted


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> int:
    """The test runs with each version of v0's API."""
    return int(request.param)


@pytest.fixture
async def v0(version: int) -> AsyncIterator[V0]:
    """The emulator on a real socket; generations take ten seconds of its clock."""
    clock = Clock()
    sandbox = Sandbox(clock, Knobs(generation_seconds=10), random_seed=7)
    async with running(sandbox) as url:
        provider = provider_of(version, url)
        yield V0(version, clock, sandbox, url, provider)
        await provider.aclose()


Answer = Callable[[httpx2.Request], httpx2.Response]


@dataclass
class Answering:
    """A transport that answers what it is told, and keeps what it was asked."""

    answer: Answer
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return self.answer(request)

    @property
    def bodies(self) -> list[Any]:
        """The JSON bodies that were sent."""
        return [json.loads(request.content) for request in self.asked if request.content]


def answering(version: int, answer: Answer, **config: Any) -> tuple[V0Provider, Answering]:
    """A provider whose every request is answered by `answer`, and what it asked."""
    transport = Answering(answer)
    return provider_of(version, transport=httpx2.MockTransport(transport), **config), transport


def says(status: int, body: Any = None, **headers: str) -> Answer:
    """An answer: JSON, or text or bytes as they are."""
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx2.Response(status, content=content, headers=named)
