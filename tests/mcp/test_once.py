"""However often and however badly an assistant asks, the app builder makes one chat. Counted there."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import httpx2
import pytest

from live_server import Demo
from mcp import Client
from mcp_session import TRANSPORTS, answer, assistant

WORDS = "Make the header blue"
SHOP = {"product_id": "shop", "prompt": "A landing page"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ensure_prototype", "arguments": SHOP}}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_hundred_identical_calls_get_one_prototype(served: Demo, transport: str) -> None:
    """
    A hundred identical calls in parallel get the same prototype.
    """
    async with assistant(served, transport) as client:
        answers = await asyncio.gather(*(answer(client, "ensure_prototype", **SHOP) for _ in range(100)))

    assert len({one["prototype_id"] for one in answers}) == 1
    assert sum(not one["is_existing"] for one in answers) == 1
    _made_once(served)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_assistant_that_gives_up_and_repeats_gets_one_prototype(served: Demo, transport: str) -> None:
    """
    An assistant that gives up while the create hangs, and calls again five times, gets one prototype.
    """
    served.turn(hold_creates="after")
    async with assistant(served, transport) as client:
        for _ in range(5):
            # It hangs up before, within or after the server's work, as it happens.
            with anyio.move_on_after(0.01):
                await client.call_tool("ensure_prototype", SHOP)
        served.turn(hold_creates=False)
        last = await answer(client, "ensure_prototype", **SHOP)
        waited = await answer(client, "wait_for_prototype", product_id="shop", seconds=1)

    assert last["prototype_id"] == waited["prototype_id"]
    _made_once(served)


async def test_a_client_whose_connection_drops_makes_one_prototype(served: Demo) -> None:
    """
    A client whose connection breaks in the middle of the call, again and again, makes one.
    """
    served.turn(accept_seconds=0.2)
    headers = {"Authorization": f"Bearer {served.token}", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as http:
        first = await http.post("/mcp", json=CALL)  # The library is imported now; what follows is quick.
        assert first.status_code == 200
    for delay in (0.0, 0.002, 0.01, 0.03):
        reader, writer = await asyncio.open_connection(*_address(served))
        writer.write(_raw(served, CALL))
        await writer.drain()
        await asyncio.sleep(delay)
        writer.transport.abort()
        del reader

    async with assistant(served, "http") as client:
        await answer(client, "ensure_prototype", **SHOP)
    _made_once(served)


async def test_calling_again_after_the_builders_lost_answer_makes_no_second(served: Demo) -> None:
    """
    If the builder acts and its answer is lost, calling again does not make a second one.
    """
    served.turn(drop_next_answers=1)
    async with assistant(served, "http") as client:
        for _ in range(5):
            await answer(client, "ensure_prototype", **SHOP)
    _made_once(served)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_twenty_identical_changes_at_once_are_one_message(served: Demo, transport: str) -> None:
    """
    The same change asked for twenty times in parallel, and once more later, is one message in the same chat.
    """
    async with assistant(served, transport) as client:
        ready = await _ready(served, client)
        change = {"prototype_id": ready["prototype_id"], "message": WORDS, "revision": ready["revision"]}
        answers = await asyncio.gather(*(answer(client, "iterate_prototype", **change) for _ in range(20)))
        again = await answer(client, "iterate_prototype", **change)
        making = await answer(client, "wait_for_prototype", product_id="shop", seconds=0)
        served.finish()
        done = await answer(client, "wait_for_prototype", product_id="shop", seconds=20)

    assert {one["prototype_id"] for one in [*answers, again, making, done]} == {ready["prototype_id"]}
    assert (again["state"], making["state"], done["state"]) == ("making", "making", "ready")
    assert served.messages(WORDS) == 1
    _made_once(served)


async def test_a_change_over_a_connection_that_drops_is_sent_once(served: Demo) -> None:
    """
    A change whose caller vanishes in the middle, again and again, is sent once.
    """
    served.turn(accept_seconds=0.2)
    async with assistant(served, "http") as client:
        ready = await _ready(served, client)
        change = {"prototype_id": ready["prototype_id"], "message": WORDS, "revision": ready["revision"]}
        call = {**CALL, "params": {"name": "iterate_prototype", "arguments": change}}
        for delay in (0.0, 0.002, 0.01, 0.03):
            _, writer = await asyncio.open_connection(*_address(served))
            writer.write(_raw(served, call))
            await writer.drain()
            await asyncio.sleep(delay)
            writer.transport.abort()
        last = await answer(client, "iterate_prototype", **change)

    assert last["prototype_id"] == ready["prototype_id"]
    await _said_once(served)


async def test_a_change_whose_answer_the_builder_lost_is_sent_once(served: Demo) -> None:
    """
    If the builder took the message and its answer is lost, calling again sends no second one.
    """
    async with assistant(served, "http") as client:
        ready = await _ready(served, client)
        change = {"prototype_id": ready["prototype_id"], "message": WORDS, "revision": ready["revision"]}
        served.turn(drop_next_answers=1)
        for _ in range(3):
            await answer(client, "iterate_prototype", **change)
    await _said_once(served)


async def _ready(served: Demo, client: Client) -> dict[str, Any]:
    """A prototype that can be changed."""
    await answer(client, "ensure_prototype", **SHOP)
    served.finish()
    return await answer(client, "wait_for_prototype", product_id="shop", seconds=20)


async def _said_once(served: Demo) -> None:
    async with asyncio.timeout(10):
        while not served.messages(WORDS):  # noqa: ASYNC110 - another thread does it
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    assert served.messages(WORDS) == 1


def _made_once(served: Demo) -> None:
    """One chat is there, and stays the only one."""
    served.wait_for_chats()
    assert served.chats_created == 1


def _address(served: Demo) -> tuple[str, int]:
    url = httpx2.URL(served.url)
    return url.host, url.port or 80


def _raw(served: Demo, call: object) -> bytes:
    request = httpx2.Request(
        "POST",
        f"{served.url}/mcp",
        json=call,
        headers={"Authorization": f"Bearer {served.token}", "Accept": "application/json, text/event-stream"},
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + request.read()
