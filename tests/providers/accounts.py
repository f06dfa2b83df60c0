"""Accounts of thousands of chats in the emulated v0, and readings of them while other people are at work there."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from clock import Clock
from protokeep.core.census import CensusChat
from protokeep.providers.base import Skipped
from protokeep.sandbox import Chat, Knobs, Sandbox, running
from protokeep.sandbox.backend import Request
from protokeep.sandbox.knobs import EditKind
from providers.conftest import V0Provider, provider_of

#: What people do to the chats of an account, beside making new ones.
EDITS: tuple[EditKind, ...] = ("delete", "rename", "favorite", "write", "share", "link")
#: Readings of one account, one after the other, while all of them were broken.
MAX_READINGS = 5


@dataclass
class Account:
    """An account of one v0 with many chats, seen through one provider."""

    clock: Clock
    sandbox: Sandbox
    provider: V0Provider
    chats: list[Chat] = field(default_factory=list)

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
    def unseen(self) -> set[str]:
        """The chats that were there all the time, before a reading shows any."""
        return {chat.id for chat in self.chats if not chat.deleted}


@dataclass
class Read:
    """What a whole reading of an account has shown, and what it took."""

    chats: dict[str, CensusChat] = field(default_factory=dict)
    unreadable: list[Skipped] = field(default_factory=list)
    calls: int = 0
    broken: int = 0


@asynccontextmanager
async def account_of(version: int, size: int, *, seed: int = 0, favourites: float = 0.05) -> AsyncIterator[Account]:
    """An account with so many chats of the last years; some were edited since, some are favourites."""
    clock, rng = Clock(), random.Random(seed)
    sandbox = Sandbox(clock, Knobs(generation_seconds=10), random_seed=seed)
    async with running(sandbox) as url:
        account = Account(clock, sandbox, provider_of(version, url, timeout_seconds=30))
        await account.provider.recent_chats()
        (owner,) = sandbox.backend.accounts.values()
        now = clock.now
        for number in range(size):
            made = now - timedelta(hours=size - number)
            changed = min(made + timedelta(hours=rng.choice([0, 0, 1, 30])), now)
            chat = Chat(
                sandbox.backend.new_id(),
                "v1" if version == 1 else "v2",
                owner.id,
                f"A page, number {number}",
                made,
                changed,
                made,
                0,
                title=f"Page {number}",
                favorite=rng.random() < favourites,
                files={"app/page.tsx": f"page {number}"},
                initial_version_id=sandbox.backend.new_id(),
            )
            account.chats.append(chat)
        sandbox.backend.take_chats(owner, account.chats)
        yield account
        await account.provider.aclose()


async def read_whole(provider: V0Provider) -> Read:
    """Read an account as a census does: page after page, and from the beginning again while the reading is broken."""
    read, before = Read(), provider.calls
    for _ in range(MAX_READINGS):
        position, seen, is_broken = None, set[str](), False
        while True:
            page = await provider.read_account(position, seen)
            read.chats.update({chat.chat_id: chat for chat in page.chats})
            read.unreadable.extend(page.unreadable)
            seen.update(chat.chat_id for chat in page.chats)
            position, is_broken = page.position, page.is_broken
            if position is None:
                break
        if not is_broken:
            break
        read.broken += 1
    read.calls = provider.calls - before
    return read


def ids_of(chats: Sequence[Chat]) -> set[str]:
    """The ids of chats."""
    return {chat.id for chat in chats}
