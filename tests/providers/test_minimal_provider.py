"""A provider that implements `Provider` alone creates prototypes and follows them to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from protokeep.bus import Bus
from protokeep.core.errors import NotFound, NotNow
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Observation, ObservedState, Prototype, Status
from protokeep.providers.base import (
    Capabilities,
    PollResult,
    PollTarget,
    Provider,
    RemoteChat,
    Search,
    with_follow_ups,
    with_hooks,
    with_media,
)
from protokeep.service import Keeper, NewPrototype
from protokeep.service.chat_metadata import Signer
from protokeep.service.context import Context
from protokeep.service.hooks import Hooks
from protokeep.service.provider_accounts import Providers
from protokeep.store.database import Database
from protokeep.store.store import Store

ACCOUNT = "minimal:environment"
ANN = Principal("default", "ann", Role.ADMIN, "Ann")


class MinimalProvider(Provider):
    """An app builder in memory that can create, find, observe and delete, and nothing else."""

    name = "minimal"
    label = "Minimal Builder"
    api_version = 1
    capabilities = Capabilities(batch_status=False, metadata_search=True)
    calls = 0

    def __init__(self) -> None:
        self.chats: dict[str, Mapping[str, str]] = {}
        self.finished: set[str] = set()

    async def create(self, prompt: str, metadata: Mapping[str, str], **_: Any) -> RemoteChat:
        """A chat that is queued."""
        self.calls += 1
        chat_id = f"chat-{len(self.chats) + 1}"
        self.chats[chat_id] = dict(metadata)
        return RemoteChat(chat_id, metadata=metadata)

    async def find(self, filters: Sequence[Mapping[str, str]], **_: Any) -> Search:
        """Every chat whose metadata matches."""
        self.calls += 1
        chats = [
            RemoteChat(chat_id, metadata=metadata)
            for chat_id, metadata in self.chats.items()
            if any(fields.items() <= metadata.items() for fields in filters)
        ]
        return Search(chats, ended=True)

    async def observe(self, targets: Sequence[PollTarget], **_: Any) -> PollResult:
        """Running, until the test says that a chat is finished."""
        self.calls += len(targets)
        states = {
            target.chat_id: Observation(ObservedState.FINISHED, demo_url=f"https://minimal.example/{target.chat_id}")
            if target.chat_id in self.finished
            else Observation(ObservedState.RUNNING)
            for target in targets
            if target.chat_id in self.chats
        }
        return PollResult(states, frozenset(target.chat_id for target in targets) - set(self.chats))

    async def delete(self, chat_id: str) -> bool:
        """Gone at once."""
        self.calls += 1
        return self.chats.pop(chat_id, None) is not None


class Minimal:
    """A keeper whose only provider is a minimal one, on a clock that stands still."""

    def __init__(self, database_url: str) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.provider = MinimalProvider()
        providers = Providers({"minimal": "MINIMAL_API_KEY"})
        providers.add(ACCOUNT, self.provider, for_new=True)
        bus = Bus()
        self.store = Store(Database(database_url), bus)
        self.context = Context(
            self.store,
            providers,
            bus,
            lambda: self.now,
            wall=lambda: self.now,
            elapsed=self.seconds,
            signer=Signer(b"secret"),
        )
        self.keeper = Keeper(self.context)

    def seconds(self) -> float:
        """The clock's time as seconds."""
        return self.now.timestamp()

    async def ensure(self) -> Prototype:
        """The product's prototype, sent to the provider."""
        ensured = await self.keeper.ensure(ANN, NewPrototype("p-1", "A shop", provider="minimal"), wait=0)
        await self.keeper.submit(ensured.prototype.id)
        return await self.keeper.get(ANN, ensured.prototype.id)

    async def ready(self) -> Prototype:
        """The product's prototype, finished and finalized."""
        prototype = await self.ensure()
        self.provider.finished = set(self.provider.chats)
        await self.poll(seconds=30)
        await self.keeper.finalize()
        return await self.keeper.get(ANN, prototype.id)

    async def poll(self, *, seconds: float) -> None:
        """Let time pass, then poll what is due."""
        self.now += timedelta(seconds=seconds)
        await self.keeper.track(ACCOUNT)


@pytest.fixture
async def minimal(sqlite_url: str) -> AsyncIterator[Minimal]:
    """A keeper with a minimal provider."""
    world = Minimal(sqlite_url)
    try:
        yield world
    finally:
        await world.context.audit.close()
        await world.store.close()


async def test_minimal_provider_creates_polls_and_becomes_ready(minimal: Minimal) -> None:
    """
    ensure -> poll -> ready, with one chat however often it is asked for.
    """
    prototype = await minimal.ensure()
    assert (prototype.status, prototype.chat_id) == (Status.PENDING, "chat-1")

    await minimal.poll(seconds=3)
    assert (await minimal.keeper.get(ANN, prototype.id)).status is Status.IN_PROGRESS

    minimal.provider.finished.add("chat-1")
    await minimal.poll(seconds=60)
    ready = await minimal.keeper.get(ANN, prototype.id)
    assert (ready.status, ready.project_url) == (Status.COMPLETED, "https://minimal.example/chat-1")

    assert (await minimal.ensure()).id == prototype.id
    assert list(minimal.provider.chats) == ["chat-1"]


async def test_minimal_provider_refuses_follow_ups_with_a_reason(minimal: Minimal) -> None:
    """
    A follow-up is refused before anything is claimed, and the answer names the app builder and what to do instead.
    """
    ready = await minimal.ready()

    with pytest.raises(NotNow, match=r"Minimal Builder accepts no changes"):
        await minimal.keeper.iterate(ANN, ready.id, "Make it blue", wait=0)

    assert await minimal.keeper.get(ANN, ready.id) == ready


async def test_minimal_provider_refuses_a_stop_with_a_reason(minimal: Minimal) -> None:
    """
    A generation that cannot be stopped goes on.
    """
    prototype = await minimal.ensure()

    with pytest.raises(NotNow, match="Minimal Builder cannot stop a generation"):
        await minimal.keeper.stop(ANN, prototype.id)

    assert (await minimal.keeper.get(ANN, prototype.id)).status is Status.PENDING


async def test_minimal_provider_has_no_picture_and_no_hooks(minimal: Minimal) -> None:
    """
    Finalization and hooks pass over a provider that supports neither.
    """
    ready = await minimal.ready()
    hooks = Hooks(minimal.context, b"secret", "https://prototypes.example.com")

    with pytest.raises(NotFound, match="no picture"):
        await minimal.keeper.picture(ANN, ready.id)
    assert await hooks.install() == []
    assert await hooks.lacking() == []
    assert await hooks.complete() == 0


async def test_minimal_provider_deletes(minimal: Minimal) -> None:
    """
    A deletion removes the chat at the app builder, too.
    """
    ready = await minimal.ready()

    assert await minimal.keeper.delete(ANN, ready.id) is None

    assert minimal.provider.chats == {}


def test_minimal_provider_supports_no_optional_part() -> None:
    """
    The helpers that narrow a provider return None for it.
    """
    provider = MinimalProvider()

    assert with_follow_ups(provider) is None
    assert with_hooks(provider) is None
    assert with_media(provider) is None
