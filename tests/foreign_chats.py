"""Chats at the emulated v0 that nobody here made: team-mates' ones, planted ones, second ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from protokeep.sandbox import Chat
from protokeep.sandbox.state import Api, account_id
from world import KEY, World


def plant(world: World, age: timedelta = timedelta(0), count: int = 1, key: str = KEY, **values: Any) -> list[Chat]:
    """Add so many chats of that age to an account. `values`: metadata, favorite, forbidden."""
    api: Api = "v1" if world.api_version == 1 else "v2"
    v0 = world.sandbox.backend
    made_at = world.clock.elsewhere() - age
    account = v0.account(account_id(key), made_at)
    knobs = world.sandbox.knobs.changed({"list_delay_seconds": 0})
    chats = [v0.create_chat(account, api, made_at, knobs, message="Somebody's", **values) for _ in range(count)]
    by_age = sorted(account.chats[api].values(), key=lambda chat: chat.created_at)
    account.chats[api].clear()
    account.chats[api].update({chat.id: chat for chat in by_age})
    return chats


def list_again(world: World, chat: Chat) -> None:
    """Let lists and reads show a deleted chat, as lists that lag do."""
    world.sandbox.backend.accounts[chat.account].chats[chat.api][chat.id] = chat
