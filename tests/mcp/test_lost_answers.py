"""The server acts and the assistant never hears of it: the error names the key with which asking again acts once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from live_server import Demo
from lossy_server import INSTEAD, Lossy, lossy
from mcp import Client
from mcp_session import answer, assistant, refusal
from protokeep.client import AsyncProtokeep, ClientError, NoAnswer, NotReady, Problem
from protokeep.mcp import answers
from protokeep.mcp.tools import server_of

WORDS = "Make the header blue"
SHOP = {"product_id": "shop", "prompt": "A landing page"}
CREATES, MESSAGES = "POST /api/design/create-project", "POST .*/messages"


@contextlib.asynccontextmanager
async def connected(served: Demo, way: Lossy) -> AsyncIterator[Client]:
    """An assistant, in this process, whose tools reach protokeep over a lossy way."""

    @contextlib.asynccontextmanager
    async def reach(_context: Any) -> AsyncIterator[AsyncProtokeep]:
        async with AsyncProtokeep(way.url, served.token) as keep:
            yield keep

    async with Client(server_of(reach)) as client:
        yield client


@pytest.fixture
def way(served: Demo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lossy]:
    """A way to the server that loses answers when told to; the client's pauses are short."""
    monkeypatch.setattr("protokeep.client.operations.FIRST_PAUSE", 0.001)
    with lossy(served.url) as way:
        yield way


def key_in(said: str) -> str:
    """The key that an error names."""
    match = re.search(r"idempotency_key='([^']+)'", said)
    assert match is not None, said
    return match[1]


async def ready(served: Demo, client: Client) -> dict[str, Any]:
    """A prototype that can be changed."""
    await answer(client, "ensure_prototype", **SHOP)
    served.finish()
    return await answer(client, "wait_for_prototype", product_id="shop", seconds=20)


@pytest.mark.parametrize("how", INSTEAD)
async def test_the_errors_key_gives_the_prototype_of_the_lost_create(served: Demo, way: Lossy, how: str) -> None:
    """
    The key in the error is the one that was sent; with it the same call gives the same prototype.
    """
    async with connected(served, way) as client:
        with way.losing(CREATES, how):
            text = await refusal(client, "ensure_prototype", **SHOP)
        again = await answer(client, "ensure_prototype", **SHOP, idempotency_key=key_in(text))

    assert set(way.keys()) == {key_in(text)}
    assert again["outcome"] == "replayed"
    served.wait_for_chats()
    assert served.chats_created == 1


async def test_create_new_and_iterate_repeated_with_their_key_act_once(served: Demo, way: Lossy) -> None:
    """
    Both have keys of their own already: with the error's key, and with the same arguments alone, each is done once.
    """
    async with connected(served, way) as client:
        before = await ready(served, client)
        change = {"prototype_id": before["prototype_id"], "message": WORDS, "revision": before["revision"]}
        other = {**SHOP, "instead_of": before["prototype_id"]}
        for tool, arguments in (("iterate_prototype", change), ("ensure_prototype", other)):
            with way.losing(f"{CREATES}|{MESSAGES}"):
                text = await refusal(client, tool, **arguments)
            await answer(client, tool, **arguments, idempotency_key=key_in(text))
            await answer(client, tool, **arguments)

    served.wait_for_chats(2)
    assert served.chats_created == 2
    assert served.messages(WORDS) == 1


async def test_ones_own_key_from_the_first_call_on_makes_one(served: Demo) -> None:
    """
    A key that is given from the first call on makes one, also when what it made was asked for "instead".
    """
    async with assistant(served, "http") as client:
        first = await answer(client, "ensure_prototype", **SHOP, idempotency_key="mine")
        again = await answer(client, "ensure_prototype", **SHOP, idempotency_key="mine")
        arguments = {**SHOP, "instead_of": first["prototype_id"]}
        prototypes = [
            (await answer(client, "ensure_prototype", **arguments, idempotency_key=key)) for key in ("a", "a", "b")
        ]

    assert again["outcome"] == "replayed"
    assert prototypes[0]["prototype_id"] == prototypes[1]["prototype_id"] != prototypes[2]["prototype_id"]


async def test_an_error_of_a_read_names_no_key(served: Demo, way: Lossy) -> None:
    """
    What only reads names no key: it may be asked again.
    """
    async with connected(served, way) as client:
        with way.losing("GET"):
            text = await refusal(client, "get_prototype", product_id="shop")

    assert "Asking again is safe: it changes nothing." in text
    assert "idempotency_key" not in text


@pytest.mark.parametrize("key", ["k", "🥐" * 255, '"' * 255, "\\" * 255])
def test_a_long_error_of_the_server_stays_short_and_keeps_the_key(key: str) -> None:
    """
    However long the server's words are, the key is in what the assistant is told.
    """
    advice = f"It may have been made. Repeat it with idempotency_key={key!r}."
    errors: list[ClientError] = [NoAnswer("x" * 5000, advice), NotReady(Problem("k", "t", 503, "é" * 5000))]
    errors[1].advice = advice

    for error in errors:
        text = answers.error_text(error)
        assert repr(key) in text
        assert len(text.encode()) < 2500
