"""Deliveries to hooks, to a real listener."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from protokeep.sandbox import Sandbox
from sandbox.conftest import V0
from sandbox.test_time import create_v1, create_v2
from world import Clock, until


class Listener:
    """Takes deliveries on a real socket."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.url = ""

    @property
    def events(self) -> list[str]:
        """What was heard, in order."""
        return [one["event"] for one in self.heard]

    async def wait_for(self, count: int) -> None:
        """Wait for so many deliveries."""
        await until(lambda: len(self.heard) >= count)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
                )
                self.heard.append(json.loads(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """A listener on a free port."""
    found = Listener()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield found


ALL = ["chat.created", "chat.updated", "chat.deleted", "message.created", "message.finished"]


async def hook_v2(v0: V0, listener: Listener, events: list[str], chat_id: str | None = None) -> None:
    """Register the listener."""
    body = {"name": "h", "events": events, "url": listener.url, "chatId": chat_id}
    (await v0.post("/v2/hooks", json=body)).raise_for_status()


async def test_a_hook_hears_its_accounts_chats_from_creation_to_deletion(
    v0: V0, other: V0, listener: Listener, clock: Clock, sandbox: Sandbox
) -> None:
    """
    Creation, messages, the end of generation and deletion are told; other accounts and versions are not.
    """
    await hook_v2(v0, listener, ALL)
    chat, reply = await create_v2(v0)
    await create_v1(v0)
    await create_v2(other)
    await listener.wait_for(3)
    assert sorted(listener.events) == ["chat.created", "message.created", "message.created"]
    clock.advance(10)
    await listener.wait_for(4)
    finished = listener.heard[3]
    assert finished["event"] == "message.finished"
    assert f"/v2/chats/{finished['chatId']}/messages/{finished['messageId']}" == reply
    await v0.patch(chat, json={"title": "t"})
    await v0.delete(chat)
    await listener.wait_for(6)
    assert sorted(listener.events[4:]) == ["chat.deleted", "chat.updated"]
    assert (await v0.get("/_sandbox/stats")).json()["hooks_delivered"] == 6


async def test_a_hook_registered_late_hears_the_end_once(v0: V0, listener: Listener, clock: Clock) -> None:
    """
    A hook registered while a generation runs hears its end, of its own chat only, once.
    """
    chat, reply = await create_v2(v0)
    await create_v2(v0)
    await hook_v2(v0, listener, ["message.finished"], chat.rpartition("/")[2])
    await v0.post(f"{reply}/stop")
    await listener.wait_for(1)
    clock.advance(60)
    await asyncio.sleep(0.12)
    assert [one["messageId"] for one in listener.heard] == [reply.rpartition("/")[2]]


async def test_a_v1_hook_hears_of_v1_chats(v0: V0, listener: Listener, clock: Clock) -> None:
    """
    Hooks of v1 hear of v1 chats.
    """
    body = {"name": "h", "events": ["message.finished"], "url": listener.url}
    (await v0.post("/v1/hooks", json=body)).raise_for_status()
    chat = await create_v1(v0)
    clock.advance(10)
    await listener.wait_for(1)
    assert listener.heard[0]["chatId"] == chat["id"]


async def test_knobs_lose_double_and_turn_off_deliveries(v0: V0, listener: Listener) -> None:
    """
    Knobs lose the next deliveries, make each twice, or turn all off; an unreachable listener harms nobody.
    """
    await hook_v2(v0, listener, ["chat.created"])
    unreachable = {"name": "h", "events": ALL, "url": "http://127.0.0.1:9/", "chatId": None}
    await v0.knobs(drop_hooks=1)
    await create_v2(v0)
    await v0.knobs(duplicate_hooks=True)
    chat, _ = await create_v2(v0)
    await listener.wait_for(2)
    await v0.knobs(hooks_enabled=False)
    await create_v2(v0)
    await v0.knobs(hooks_enabled=True, duplicate_hooks=False)
    (await v0.post("/v2/hooks", json=unreachable)).raise_for_status()
    await create_v2(v0)
    await listener.wait_for(3)
    assert [one["chatId"] for one in listener.heard[:2]] == [chat.rpartition("/")[2]] * 2
    assert listener.heard[0]["id"] == listener.heard[1]["id"]
