"""Arguments as models write them: "" and null where they have nothing to say, and numbers of their own choice."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from live_server import Demo
from mcp_session import answer, assistant, refusal
from protokeep.mcp.lenient import LenientServer
from protokeep.mcp.tools import server_of

SHOP = {"product_id": "shop", "prompt": "A landing page"}


async def test_every_optional_parameter_of_every_tool_takes_an_empty_value(served: Demo) -> None:
    """
    Each call with "", null, "null" or a blank in all that may be left out is the call without them.
    """
    async with assistant(served, "http") as client:
        made = await answer(client, "ensure_prototype", **SHOP)
        required = {"prototype_id": made["prototype_id"], "message": "Darker", "revision": made["revision"], **SHOP}
        served.finish()
        await answer(client, "wait_for_prototype", product_id="shop")
        tools = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
        tools.pop("iterate_prototype")

        for name, schema in tools.items():
            needed = {key: required[key] for key in schema.get("required", ())}
            needed = needed or {key: "shop" for key in ("product_id",) if key in schema["properties"]}
            optional = set(schema["properties"]) - set(needed)
            expected = await answer(client, name, **needed)
            for empty in ("", None, "null", " "):
                found = await answer(client, name, **needed, **dict.fromkeys(optional, empty))
                assert found == expected, f"{name} with {empty!r}"

    assert served.chats_created == 1


@pytest.mark.parametrize("seconds", [60, -1, "600", 25.7])
async def test_a_wait_is_shortened(served: Demo, seconds: Any) -> None:
    """
    A wait that is longer than a call may take is as long as it may be; the answer is the prototype.
    """
    async with assistant(served, "http") as client:
        await answer(client, "ensure_prototype", **SHOP)
        served.finish()
        ready = await answer(client, "wait_for_prototype", product_id="shop", seconds=25)
        waited = await answer(client, "wait_for_prototype", product_id="shop", seconds=seconds)

    assert waited == ready


async def test_a_value_that_cannot_be_used_is_told_in_our_words(served: Demo) -> None:
    """
    What is missing is named; no address of a library and none of its words reach the model.
    """
    async with assistant(served, "http") as client:
        missing = await refusal(client, "ensure_prototype", product_id="shop")
        empty = await refusal(client, "ensure_prototype", product_id="shop", prompt=None)
        number = await refusal(client, "wait_for_prototype", product_id="shop", seconds="soon")

    assert missing == "prompt is missing. Send it."
    assert empty == "prompt must be a text."
    assert number == "seconds must be a whole number."
    assert served.chats_created == 0


async def test_a_parameter_that_a_tool_does_not_have_is_told_as_unknown(served: Demo) -> None:
    """
    A filter under another name would filter nothing, and a misspelt field would be told as missing.
    """
    async with assistant(served, "http") as client:
        filtered = await refusal(client, "find_prototypes", query="bakery")
        misspelt = await refusal(client, "ensure_prototype", product_id="shop", promt="A landing page")
        empty = await answer(client, "find_prototypes", query="", words="bakery")

    assert filtered.startswith("find_prototypes has no parameter query. It takes words, ")
    assert misspelt.startswith("ensure_prototype has no parameter promt. It takes product_id, prompt, ")
    assert empty["prototypes"] == []
    assert served.chats_created == 0


async def test_every_server_with_tools_is_lenient() -> None:
    """
    Every tool is registered at a server that takes such arguments, and each has a schema that says what is required.
    """
    server = server_of(lambda context: pytest.fail("no tool is called"))

    assert isinstance(server, LenientServer)
    for tool in await server.list_tools():
        assert inspect.cleandoc(tool.description or "")
        assert all(described.get("description") for described in tool.input_schema["properties"].values())
