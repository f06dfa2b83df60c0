"""Accounts of thousands of chats in the emulated v0, and readings of them while other people are at work there."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from clock import Clock
from protokeep.core.census import CensusChat
from protokeep.providers.base import Provider, Skipped
from protokeep.providers.census_port import SupportsCensus
from protokeep.sandbox import Chat, Knobs, Sandbox, running, seed_account
from protokeep.sandbox.backend import Request
from protokeep.sandbox.knobs import EditKind
from providers.conftest import V0Provider, provider_of

#: What people do to the chats of an account, beside making new ones.
EDITS: tuple[EditKind, ...] = ("delete", "rename", "favorite", "write", "share", "link")
#: Readings of one account, one after the other, while all of them were broken.
MAX_READINGS = 5


@dataclass
class Account:
    """An account of one v0 with many chats, seen through one provider. `chats` are those that it had at first."""

    clock: Clock
    sandbox: Sandbox
    provider: V0Provider
    chats: list[Chat]

    def at_work(self, seed: int, edits: int = 1) -> None:
        """From now on people make so many edits before every request, and a minute passes before each."""
        rng = random.Random(seed)

        def edit(_request: Request) -> None:
            self.clock.advance(60)
            for _ in range(rng.randint(0, 2 * edits)):
                chat = rng.choice(self.chats)
                if not chat.deleted:
                    self.sandbox.edit(chat.id, rng.choice(EDITS))

        self.sandbox.before_request = edit
        self.sandbox.set_knobs(edit_every=2, edit_kinds=["create"], edit_seed=seed)

    @property
    def there(self) -> set[str]:
        """The chats that have been there all the time."""
        return {chat.id for chat in self.chats if not chat.deleted}


@dataclass
class Read:
    """What a whole reading of an account has shown, and what it took."""

    chats: dict[str, CensusChat] = field(default_factory=dict)
    unreadable: list[Skipped] = field(default_factory=list)
    calls: int = 0
    broken: int = 0


@asynccontextmanager
async def account_of(version: int, size: int, *, seed: int = 0) -> AsyncIterator[Account]:
    """An old account with so many chats, of every kind that old accounts have."""
    clock = Clock()
    sandbox = Sandbox(clock, Knobs(generation_seconds=10), random_seed=seed)
    seeded = seed_account(sandbox, "key", api="v1" if version == 1 else "v2", chats=size, seed=seed)
    async with running(sandbox) as url:
        provider = provider_of(version, url, timeout_seconds=30)
        try:
            yield Account(clock, sandbox, provider, [sandbox.chats[chat_id] for chat_id in seeded.chats])
        finally:
            await provider.aclose()


async def read_whole(provider: Provider) -> Read:
    """Read an account as a census does: page after page, and from the beginning again while the reading is broken.

    Between two pages only JSON is kept, so that any other process could go on.
    """
    assert isinstance(provider, SupportsCensus)
    read, before = Read(), provider.calls
    for _ in range(MAX_READINGS):
        position, seen, is_broken = None, set[str](), False
        while True:
            page = await provider.read_account(position, seen)
            read.chats.update({chat.chat_id: chat for chat in page.chats})
            read.unreadable.extend(page.unreadable)
            seen.update(chat.chat_id for chat in page.chats)
            position, is_broken = json.loads(json.dumps(page.position)), page.is_broken
            if position is None:
                break
        if not is_broken:
            break
        read.broken += 1
    read.calls = provider.calls - before
    return read
